//! No text whatever does harm, and every fault points at something.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod generate;

use hcs_schema::{
    Failure, HResult,
    documents::{ComputeSystem, ProcessParameters, find, types},
    parse,
    parse::{MAX_BYTES, MAX_DEPTH},
    parse_optional,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const SAMPLE: &str = r#"{
  "Owner": "gr\u00fcn \ud83d\ude00 ü😀",
  "SchemaVersion": {"Major": 2, "Minor": 6},
  "ShouldTerminateOnLastHandleClosed": true,
  "Container": {
    "GuestOs": {"HostName": "web"},
    "Storage": {"Layers": [{"Id": "17103e3f-3c6e-4677-bb17-3b267eb5be57", "Path": "/srv/layer"}]},
    "MappedDirectories": [{"HostPath": "/data", "ContainerPath": "/data", "ReadOnly": false}],
    "Memory": {"SizeInMB": 512},
    "Processor": {"Maximum": 5000}
  }
}"#;

/// A failure that a client can act on: it names the fault and its place.
fn assert_helpful(text: &str, failure: &Failure) {
    assert_eq!(failure.hresult, HResult::HCS_E_INVALID_JSON);
    assert!(!failure.message.is_empty());
    assert!(failure.causes.len() <= 20);
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        return;
    };
    for cause in &failure.causes {
        let pointer = cause.pointer.as_deref().unwrap();
        assert!(
            pointer.len() > 2000 || value.pointer(pointer).is_some(),
            "{pointer} is nowhere in {text}"
        );
        assert!(
            cause.data.iter().any(|d| d.starts_with("line ")),
            "{cause:?} has no place in {text}"
        );
    }
}

#[test]
fn the_sample_is_valid() {
    parse::<ComputeSystem>(SAMPLE).unwrap();
}

#[test]
fn cut_at_every_byte_it_is_an_error_each_time() {
    for end in (0..SAMPLE.len()).filter(|end| SAMPLE.is_char_boundary(*end)) {
        let failure = parse::<ComputeSystem>(&SAMPLE[..end]).unwrap_err();
        assert_eq!(failure.hresult, HResult::HCS_E_INVALID_JSON, "cut at {end}");
    }
}

#[test]
fn without_any_one_byte_it_is_valid_or_an_error() {
    for (at, character) in SAMPLE.char_indices() {
        let text = format!("{}{}", &SAMPLE[..at], &SAMPLE[at + character.len_utf8()..]);
        if let Err(failure) = parse::<ComputeSystem>(&text) {
            assert_helpful(&text, &failure);
        }
    }
}

#[test]
fn long_texts_are_refused_unread() {
    for text in [
        " ".repeat(10 << 20),
        "[".repeat(10 << 20),
        format!("{{\"Owner\":\"{}\"}}", "x".repeat(10 << 20)),
    ] {
        let failure = parse::<ComputeSystem>(&text).unwrap_err();
        let expected = format!(
            "the ComputeSystem document is invalid: line 1, column 1: it is {} bytes long where at most {MAX_BYTES} are allowed",
            text.len()
        );
        assert_eq!(failure.message, expected);
    }
}

#[test]
fn the_longest_text_allowed_is_read() {
    let frame = r#"{"Owner":"","Container":{}}"#;
    let text = frame.replace(
        "\"\"",
        &format!("\"{}\"", "x".repeat(MAX_BYTES - frame.len())),
    );
    assert_eq!(text.len(), MAX_BYTES);
    parse::<ComputeSystem>(&text).unwrap();
}

#[test]
fn nesting_has_a_limit() {
    let nested = |levels: usize| {
        let (open, close) = ("[".repeat(levels - 1), "]".repeat(levels - 1));
        format!("{{\"HostedSystem\":{open}{close}}}")
    };
    parse::<ComputeSystem>(&nested(MAX_DEPTH)).unwrap();
    for levels in [MAX_DEPTH + 1, 127, 128, 129, 1_000_000] {
        let failure = parse::<ComputeSystem>(&nested(levels)).unwrap_err();
        assert!(
            failure
                .message
                .contains("nested deeper than the 64 levels allowed"),
            "{levels}: {failure}"
        );
        assert!(
            failure.message.contains("line 1, column 80"),
            "{levels}: {failure}"
        );
    }
}

#[test]
fn a_document_made_to_be_slow_loses_only_its_places() {
    let (open, close) = ("[".repeat(MAX_DEPTH - 2), "]".repeat(MAX_DEPTH - 2));
    let frame =
        |inner: &str| format!("{{\"HostedSystem\":{open}{{\"a\":1,{inner}\"a\":2}}{close}}}");
    let place = "\"a\" is given twice";
    let failure = parse::<ComputeSystem>(&frame("")).unwrap_err();
    assert!(
        failure
            .message
            .contains("(line 1, column 86): the name \"a\" is given twice"),
        "{failure}"
    );
    let padding = format!("\"b\":\"{}\",", "x".repeat(MAX_BYTES - 500));
    let failure = parse::<ComputeSystem>(&frame(&padding)).unwrap_err();
    assert!(failure.message.contains(place), "{failure}");
}

#[test]
fn names_as_long_as_the_document_are_cut_in_reports() {
    let text = json!({ "x".repeat(1 << 20): 1, "y": 2 }).to_string();
    let failure = parse::<ComputeSystem>(&text).unwrap_err();
    assert!(failure.to_document().len() < 16 << 10);
}

#[test]
fn many_faults_are_cut_to_twenty() {
    let layers: Vec<Value> = (0..100_000).map(|n| json!({ "Pth": n })).collect();
    let text = json!({"Container": {"Storage": {"Layers": layers}}}).to_string();
    let failure = parse::<ComputeSystem>(&text).unwrap_err();
    assert_eq!(failure.causes.len(), 20);
    assert!(
        failure.message.ends_with("(and at least 19 more faults)"),
        "{failure}"
    );
    assert_helpful(&text, &failure);
}

#[test]
fn no_document_at_all_is_the_empty_one() {
    for text in [None, Some(""), Some(" \n"), Some("{}")] {
        assert_eq!(
            parse_optional::<hcs_schema::documents::SystemQuery>(text).unwrap(),
            Default::default()
        );
    }
}

#[test]
fn documents_are_found_by_either_name() {
    assert_eq!(
        find("Container_Memory").unwrap().shape.name,
        "Container_Memory"
    );
    assert_eq!(
        find("ContainerMemory").unwrap().shape.name,
        "Container_Memory"
    );
    assert!(find("Nonsense").is_none());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_a_document_or_an_error(text in any::<String>()) {
        if let Err(failure) = parse::<ComputeSystem>(&text) {
            assert_helpful(&text, &failure);
        }
    }

    #[test]
    fn any_json_is_a_document_or_an_error(value in generate::json(), kind in 0..types().len()) {
        let text = value.to_string();
        if let Err(failure) = (types()[kind].parse)(&text) {
            assert_helpful(&text, &failure);
        }
    }

    #[test]
    fn what_fits_the_shape_is_read_and_written_unchanged(
        (kind, value) in (0..types().len()).prop_flat_map(|k| (Just(k), generate::document(types()[k].shape, 0)))
    ) {
        let document = types()[kind];
        let text = serde_json::to_string_pretty(&value).unwrap();
        prop_assert_eq!(parse::parse_value(document.shape, &text).unwrap(), value.clone());
        match (document.parse)(&text) {
            Ok(read) => prop_assert_eq!(read, value),
            // A rule beyond shape.
            Err(failure) => assert_helpful(&text, &failure),
        }
    }

    #[test]
    fn one_strange_value_in_a_document_is_found(
        value in generate::document(find("ComputeSystem").unwrap().shape, 0),
        strange in generate::json(),
        at in any::<prop::sample::Index>(),
    ) {
        let mut value = value;
        let places = generate::pointers(&value);
        *value.pointer_mut(&places[at.index(places.len())]).unwrap() = strange;
        let text = serde_json::to_string_pretty(&value).unwrap();
        if let Err(failure) = parse::<ComputeSystem>(&text) {
            assert_helpful(&text, &failure);
        }
    }

    #[test]
    fn commands_of_any_strings_are_read(arguments in prop::collection::vec("[^\u{0}]{1,20}", 1..5)) {
        let parameters: ProcessParameters = parse(&json!({ "CommandArgs": arguments }).to_string()).unwrap();
        prop_assert_eq!(parameters.command_args.unwrap(), arguments);
    }
}
