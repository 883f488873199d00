//! What an agent says, taken with care: parsed, bounded, and put into the words of the host's side.

use std::rc::Rc;

use hcs_schema::{Failure, HResult};
use hcs_wire::guest::{Frame, ResponseBase, WaitForProcessResponse};
use serde::Deserialize;

use crate::system::process::Process;

/// The body of an answer, as its kind has it.
///
/// # Errors
/// It is something else: the reason.
pub(crate) fn body<T: for<'de> Deserialize<'de>>(frame: &Frame) -> Result<T, String> {
    serde_json::from_slice(&frame.body)
        // The error would quote what the client had the agent do.
        .map_err(|_quotes| format!("its answer to {:?} makes no sense", frame.kind))
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
    use hcs_wire::guest::ErrorRecord;

    use super::*;

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
