//! No value of a client's document is in the log, at level debug as well, or in the event log: each string of each
//! document that a call takes is one by which it is recognised, as a value, as a key, and where something else belongs.

use hcs_schema::{
    documents::{DocumentType, find},
    shape::{Kind, Shape},
};
use hcs_wire::{log::LogQuery, service::Call};
use serde_json::{Value, json};

use crate::common::{
    Client, Service,
    client::{create_system, terminate_system},
};

/// What is looked for.
const CANARY: &str = "CANARY7391";
/// How deep documents are walked: the schema has documents that contain themselves.
const DEPTH: usize = 5;

/// The forms of a value: a word, a path, a quotation without an end, NUL, more than one line, what is like an option.
fn forms() -> [String; 5] {
    [
        CANARY.to_owned(),
        format!("/{CANARY}/../x"),
        format!("/bin/sh -c '{CANARY}"),
        format!("{CANARY}\0{CANARY}"),
        format!("{CANARY}\n\u{202e}{CANARY}"),
    ]
}

/// `within` with each value that can stand in a property of `kind`, each in a document of its own.
fn fill(kind: &Kind, depth: usize, forms: &[String], within: &mut dyn FnMut(Value)) {
    match kind {
        Kind::Document(shape) if depth < DEPTH => walk(shape(), depth + 1, forms, within),
        Kind::Array(item) => fill(item, depth, forms, &mut |value| within(json!([value]))),
        Kind::Map(item) => {
            within(json!({ CANARY: 7 }));
            fill(item, depth, forms, &mut |value| {
                within(json!({ CANARY: value }));
            });
        }
        // A string is wrong in most others, which is where messages quote it.
        _ => forms.iter().for_each(|form| within(json!(form))),
    }
}

fn walk(shape: &Shape, depth: usize, forms: &[String], within: &mut dyn FnMut(Value)) {
    within(json!({ CANARY: 1 }));
    for property in shape.properties {
        fill(&property.kind, depth, forms, &mut |value| {
            within(json!({ property.name: value }));
        });
    }
}

/// Calls with `text` as the document called `document`.
fn calls(document: &str, handle: u64, text: &str) -> Vec<Call> {
    let options = || Some(text.to_owned());
    let text = || text.to_owned();
    match document {
        "ComputeSystem" => vec![create_system(handle, "canary", &text())],
        "ProcessParameters" => vec![Call::CreateProcess {
            system: 1,
            process: handle,
            parameters: text(),
            pipes: None,
        }],
        "ModifySettingRequest" => vec![Call::ModifySystem {
            system: 1,
            settings: text(),
        }],
        "SystemPropertyQuery" => vec![Call::GetSystemProperties {
            system: 1,
            query: options(),
        }],
        "Service_PropertyQuery" => vec![Call::GetServiceProperties { query: options() }],
        "SystemQuery" => vec![Call::EnumerateSystems { query: options() }],
        "ModificationRequest" => vec![Call::ModifyServiceSettings { settings: text() }],
        "CrashReport" => vec![Call::SubmitCrashReport { settings: text() }],
        "PauseOptions" => vec![
            Call::PauseSystem {
                system: 1,
                options: options(),
            },
            Call::ResumeSystem {
                system: 1,
                options: None,
            },
        ],
        "SaveOptions" => vec![Call::SaveSystem {
            system: 1,
            options: options(),
        }],
        "CrashOptions" => vec![Call::CrashSystem {
            system: 1,
            options: options(),
        }],
        "StartOptions" => vec![Call::StartSystem {
            system: 1,
            options: options(),
        }],
        "SignalProcessOptions" => vec![Call::SignalProcess {
            process: 9,
            options: options(),
        }],
        "ProcessModifyRequest" => vec![Call::ModifyProcess {
            process: 9,
            settings: text(),
        }],
        other => panic!("{other}"),
    }
}

const DOCUMENTS: &[&str] = &[
    "ComputeSystem",
    "ProcessParameters",
    "ModifySettingRequest",
    "SystemPropertyQuery",
    "Service_PropertyQuery",
    "SystemQuery",
    "ModificationRequest",
    "CrashReport",
    "PauseOptions",
    "SaveOptions",
    "CrashOptions",
    "StartOptions",
    "SignalProcessOptions",
    "ProcessModifyRequest",
];

/// Documents of a type, and texts that are none.
fn texts(of: &DocumentType) -> Vec<String> {
    // A system has many properties; each is tried in one form, the short documents in all.
    let forms = forms();
    let few = of.shape.name == "ComputeSystem" || of.shape.name == "ModifySettingRequest";
    let forms = if few { &forms[1..3] } else { &forms[..] };
    let mut texts = vec![
        format!("{{\"{CANARY}"),
        format!("\"{CANARY}\""),
        format!("{{\"Owner\":\"a\" {CANARY}}}"),
    ];
    let document = |mut value: Value| {
        if of.shape.name == "ComputeSystem" {
            value["SchemaVersion"] = json!({ "Major": 2, "Minor": 1 });
            if value["Container"].is_null() {
                value["Container"] = json!({});
            }
        }
        let command = ["CommandLine", "CommandArgs"];
        if of.shape.name == "ProcessParameters" && command.iter().all(|key| value[key].is_null()) {
            value["CommandArgs"] = json!(["/bin/true"]);
        }
        value.to_string()
    };
    walk(of.shape, 0, forms, &mut |value| texts.push(document(value)));
    texts
}

/// Everything in the event log.
fn events(client: &mut Client) -> Vec<String> {
    let (mut events, mut since) = (Vec::new(), 0);
    loop {
        let query = LogQuery {
            since,
            ..LogQuery::default()
        };
        let page = client.call(&Call::ReadEvents(query)).ok().json();
        let found = page["events"]
            .as_array()
            .or(page["Events"].as_array())
            .unwrap();
        events.extend(found.iter().map(Value::to_string));
        if page["More"] != true {
            return events;
        }
        since = page["Next"].as_u64().unwrap();
    }
}

/// Sends all of them and answers how many calls were made.
fn send_all(client: &mut Client) -> usize {
    let (mut handle, mut made) = (100, 0);
    for name in DOCUMENTS {
        let of = find(name).unwrap_or_else(|| panic!("{name}"));
        for text in texts(&of) {
            for call in calls(name, handle, &text) {
                made += 1;
                let answer = client.call(&call);
                if answer.reply.result.is_success() && matches!(call, Call::CreateSystem { .. }) {
                    client.call(&terminate_system(handle)).ok();
                }
                handle += 1;
            }
        }
    }
    made
}

#[test]
fn no_value_of_a_clients_document_is_in_the_log_or_the_events() {
    let lines = "log = \"debug\"\nwarm_slots = 0\n[limits]\nevent_log_bytes = 67108864\n";
    let service = Service::with_config(lines);
    let mut client = service.client();
    client.start_container(1, "box");
    let made = send_all(&mut client);
    assert!(made > 1000, "{made} calls");
    let events = events(&mut client);
    assert!(events.len() > 300, "{} events", events.len());
    let quoted: Vec<_> = events
        .iter()
        .filter(|event| event.contains("CANARY"))
        .collect();
    assert!(
        quoted.is_empty(),
        "{} of {}: {quoted:#?}",
        quoted.len(),
        events.len()
    );
    client.terminate(1);
    let log = service.log();
    assert!(
        log.contains("a call failed"),
        "it is the log at level debug"
    );
    let quoted: Vec<_> = log.lines().filter(|line| line.contains("CANARY")).collect();
    assert!(
        quoted.is_empty(),
        "{} lines: {:#?}",
        quoted.len(),
        &quoted[..quoted.len().min(20)]
    );
}

#[test]
fn values_are_in_the_events_where_the_configuration_wants_them() {
    let service = Service::with_config("log_client_values = true\n");
    let mut client = service.client();
    client.start_container(1, "box");
    let call = Call::CreateProcess {
        system: 1,
        process: 2,
        parameters: json!({ "CommandLine": format!("'{CANARY}") }).to_string(),
        pipes: None,
    };
    assert!(!client.call(&call).reply.result.is_success());
    let events = events(&mut client);
    assert!(
        events.iter().any(|event| event.contains(CANARY)),
        "{events:#?}"
    );
    client.terminate(1);
}

#[test]
fn an_id_is_one_word_of_one_line_of_the_log() {
    let service = Service::new();
    let mut client = service.client();
    let id = "a\n2026-01-01T00:00:00Z ERROR forged\u{1b}[2J\u{202e}b";
    client.start_container(1, id);
    client.terminate(1);
    let log = service.log();
    assert!(log.contains("forged"), "{log}");
    let forged = |line: &str| line.trim_start().starts_with("2026-01-01T00:00:00Z ERROR");
    assert!(!log.lines().any(forged), "{log}");
    assert!(!log.contains(['\u{1b}', '\u{202e}']), "{log}");
}
