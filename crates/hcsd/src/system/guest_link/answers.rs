//! What an agent says, taken with care: parsed, bounded, and put into the words of the host's side.

use std::rc::Rc;

use hcs_schema::{
    Failure, HResult,
    documents::{ProcessDetails, Properties},
};
use hcs_wire::guest::{
    Frame, GcsCapabilities, GetPropertiesResponse, ResponseBase, Rpc, WaitForProcessResponse,
};
use serde::Deserialize;

use crate::system::process::Process;

/// Bytes of an answer, but for a list of processes: as many as a message may have that every guest takes.
const MOST_BYTES: usize = hcs_wire::guest::MAX_MESSAGE_BYTES as usize;

/// Versions of the schema, and bytes of a name, that are kept of what an agent says of itself.
const MOST_VERSIONS: usize = 16;
const MOST_NAME: usize = 64;

/// Processes that an agent is believed to list, at most.
pub(crate) const MOST_LISTED: usize = 1 << 14;

/// Values that a list of processes has, at most: members, and arguments, of which our agent lists as many as fit into 1
/// MB.
const MOST_VALUES: usize = 1 << 18;

/// The body of an answer, as its kind has it.
///
/// # Errors
/// It is something else: the reason.
pub(crate) fn body<T: for<'de> Deserialize<'de>>(frame: &Frame) -> Result<T, String> {
    serde_json::from_slice(&frame.body)
        // The error would quote what the client had the agent do.
        .map_err(|_quotes| format!("its answer to {:?} makes no sense", frame.kind))
}

/// Looks at the length of an answer before any of it is read.
///
/// # Errors
/// An answer to `rpc` has no reason to be as long: the reason.
pub(super) fn check_length(rpc: Rpc, length: usize) -> Result<(), String> {
    if rpc == Rpc::GetProperties || length <= MOST_BYTES {
        return Ok(());
    }
    Err(format!(
        "its answer to {rpc:?} has {length} bytes and may have {MOST_BYTES}"
    ))
}

/// What is kept of the abilities of an agent, for as long as there is a stream to it.
pub(super) fn kept(mut capabilities: GcsCapabilities) -> GcsCapabilities {
    capabilities
        .supported_schema_versions
        .truncate(MOST_VERSIONS);
    capabilities.supported_schema_versions.shrink_to_fit();
    let name = &mut capabilities.runtime_os_type;
    let end = (0..=MOST_NAME.min(name.len())).rfind(|end| name.is_char_boundary(*end));
    name.truncate(end.unwrap_or(0));
    name.shrink_to_fit();
    capabilities
}

/// Why an answer tells no list of processes.
#[derive(Debug)]
pub(crate) enum NoList {
    /// The agent has no reason to say that.
    Fault(String),
    /// It told a failure.
    Refused(Failure),
    /// What it told is no document of that kind.
    Other(Failure),
}

/// Reads an answer to the question for processes. What is read of it takes many times the memory of its text, so that
/// is measured first.
///
/// # Errors
/// There is no list.
pub(super) fn process_list(frame: &Frame) -> Result<Vec<ProcessDetails>, NoList> {
    measure(&frame.body).map_err(NoList::Fault)?;
    let response: GetPropertiesResponse = body(frame).map_err(NoList::Fault)?;
    if let Some(failure) = reported(&response.base, "the guest's properties could not be read") {
        return Err(NoList::Refused(failure));
    }
    measure(response.properties.as_bytes()).map_err(NoList::Fault)?;
    let properties: Properties = hcs_schema::parse(&response.properties).map_err(NoList::Other)?;
    Ok(properties.process_list.unwrap_or_default())
}

/// Counts what `json` has at most, without reading it: an object for each process, and values.
///
/// # Errors
/// It has too many: the reason.
fn measure(json: &[u8]) -> Result<(), String> {
    let (mut objects, mut values) = (0_usize, 0_usize);
    let (mut quoted, mut escaped) = (false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' => (objects, values) = (objects + 1, values + 1),
            b'[' | b',' => values += 1,
            _ => {}
        }
    }
    // The document itself is one.
    if objects <= MOST_LISTED + 1 && values <= MOST_VALUES {
        return Ok(());
    }
    Err(format!(
        "its list of processes has {objects} objects and {values} values, and may have {MOST_LISTED} and {MOST_VALUES}"
    ))
}

/// Takes the exit of a process in.
///
/// # Errors
/// The agent cannot mean it: the reason.
pub(super) fn take_exit(process: &Rc<Process>, frame: &Frame) -> Result<(), String> {
    let response: WaitForProcessResponse = body(frame)?;
    if process.pid() == 0 {
        return Err("it reported the exit of a process before its creation".to_owned());
    }
    let code = response
        .base
        .hresult()
        .is_success()
        .then_some(response.exit_code);
    process.exited(code);
    Ok(())
}

/// The failure an agent reported, in the words of the host's side; `None` when it reported success.
pub(crate) fn reported(base: &ResponseBase, what: &str) -> Option<Failure> {
    let mut failure = base.to_failure()?;
    failure.hresult = host_family(failure.hresult);
    failure.message = if base.error_message.is_empty() {
        format!("{what}: {}", failure.hresult.message())
    } else {
        printable(&failure.message)
    };
    for cause in &mut failure.causes {
        cause.message = printable(&cause.message);
    }
    Some(failure)
}

/// Guests use the 0xC037xxxx codes, callers of the API expect their 0x8037xxxx twins.
const fn host_family(code: HResult) -> HResult {
    let bits = code.0.cast_unsigned();
    if bits >> 16 == 0xC037 {
        return HResult((bits & 0x3fff_ffff | 0x8000_0000).cast_signed());
    }
    code
}

/// A text of the agent's, free of control characters.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use hcs_wire::guest::{ErrorRecord, MessageType, SchemaVersion};
    use serde_json::{Value, json};

    use super::*;

    fn listed(body: &Value) -> Result<Vec<ProcessDetails>, NoList> {
        process_list(&Frame {
            kind: MessageType::Response(Rpc::GetProperties),
            id: 1,
            body: body.to_string().into_bytes(),
        })
    }

    #[test]
    fn a_list_is_measured_before_it_is_read() {
        let of = |properties: &Value| {
            listed(&json!({ "Result": 0, "Properties": properties.to_string() }))
        };
        let processes = |count: usize| json!({ "ProcessList": vec![json!({}); count] });
        assert_eq!(of(&processes(MOST_LISTED)).unwrap().len(), MOST_LISTED);
        let faults = [
            of(&processes(MOST_LISTED + 1)),
            of(&json!({ "ProcessList": [{ "CommandArgs": vec![""; MOST_VALUES] }] })),
            of(&json!({ "Document": vec![json!([]); MOST_VALUES / 2] })),
            listed(&json!({ "Unknown": vec![json!({}); MOST_LISTED + 1] })),
            listed(&json!({ "Properties": 7 })),
        ];
        for fault in faults {
            assert!(matches!(fault, Err(NoList::Fault(_))), "{fault:?}");
        }
        let text = format!("\\\"{}", "{[,".repeat(MOST_VALUES));
        let quoted = of(&json!({ "ProcessList": [{ "ImageName": text }] })).unwrap();
        assert_eq!(quoted[0].image_name.as_ref(), Some(&text));
        assert!(matches!(
            of(&json!({ "ProcessList": 7 })),
            Err(NoList::Other(_))
        ));
        assert!(matches!(
            listed(&json!({ "Result": -5 })),
            Err(NoList::Refused(_))
        ));
    }

    #[test]
    fn little_is_kept_of_what_an_agent_says_of_itself() {
        let said = GcsCapabilities {
            supported_schema_versions: vec![SchemaVersion::default(); 5000],
            runtime_os_type: "\u{e4}".repeat(5000),
            send_host_start_message: true,
            ..GcsCapabilities::default()
        };
        let kept = kept(said);
        assert_eq!(kept.supported_schema_versions.capacity(), MOST_VERSIONS);
        assert_eq!(kept.runtime_os_type.len(), MOST_NAME);
        assert!(kept.runtime_os_type.capacity() < 2 * MOST_NAME);
        assert!(kept.send_host_start_message);
    }

    #[test]
    fn an_answer_that_lists_nothing_is_short() {
        check_length(Rpc::GetProperties, 4 << 20).unwrap();
        check_length(Rpc::NegotiateProtocol, MOST_BYTES).unwrap();
        check_length(Rpc::NegotiateProtocol, MOST_BYTES + 1).unwrap_err();
    }

    #[test]
    fn what_an_agent_reports_is_translated_and_bounded() {
        let base = ResponseBase {
            result: HResult(0xC037_0110_u32.cast_signed()).0,
            error_message: "x\n".repeat(5000),
            error_records: vec![
                ErrorRecord {
                    message: "because".to_owned(),
                    ..ErrorRecord::default()
                };
                100
            ],
            ..ResponseBase::default()
        };
        let failure = reported(&base, "it failed").unwrap();
        assert_eq!(failure.hresult, HResult::HCS_E_SYSTEM_ALREADY_STOPPED);
        assert!(failure.message.len() <= 8192);
        assert!(!failure.message.contains('\n'));
        assert!(failure.causes.len() <= 17);
        let silent = ResponseBase {
            result: -5,
            ..ResponseBase::default()
        };
        assert!(
            reported(&silent, "it failed")
                .unwrap()
                .message
                .starts_with("it failed")
        );
        assert!(reported(&ResponseBase::default(), "it failed").is_none());
    }
}
