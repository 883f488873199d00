//! A line of QEMU's to what it says.

use serde_json::{Map, Value};

/// The longest text of QEMU's that is passed on, in characters.
const LONGEST_TEXT: usize = 400;

/// What a line says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Message {
    /// QEMU's version, the first line of all.
    Greeting(Version),
    /// The answer to the command with this number.
    Return(Option<u64>, Value),
    /// The refusal of the command with this number.
    Refusal(Option<u64>, String),
    /// Something happened.
    Event(Event),
}

/// QEMU's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

/// What happened to the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// It ends, for this reason.
    Shutdown(ShutdownReason),
    /// It was reset and runs on.
    Reset,
    /// The guest's kernel crashed.
    Panicked,
    /// The memory of the guest was written, or was not for this reason.
    Dumped(Option<String>),
    /// The device of this name was unplugged.
    Unplugged(String),
    /// Something that changes nothing here.
    Other,
}

/// Why a machine ends (`ShutdownCause` of QEMU).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShutdownReason {
    /// The guest powered it off.
    GuestShutdown,
    /// The guest reset it, and it is not to start again.
    GuestReset,
    /// The guest's kernel crashed.
    GuestPanic,
    /// QEMU was told to end, by its monitor or a signal.
    Host,
    /// Any other.
    Other,
}

/// A line that is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Reads one line.
pub(crate) fn parse(line: &[u8]) -> Result<Message, Malformed> {
    let value: Value = serde_json::from_slice(line).map_err(|_| Malformed)?;
    let Value::Object(mut members) = value else {
        return Err(Malformed);
    };
    if let Some(greeting) = members.get("QMP") {
        return version(greeting).map(Message::Greeting).ok_or(Malformed);
    }
    if let Some(name) = members.get("event") {
        let name = name.as_str().ok_or(Malformed)?;
        return Ok(Message::Event(event(name, members.get("data"))));
    }
    let id = members.get("id").and_then(Value::as_u64);
    if let Some(value) = members.remove("return") {
        return Ok(Message::Return(id, value));
    }
    match members.get("error").and_then(Value::as_object) {
        Some(error) => Ok(Message::Refusal(id, description(error))),
        None => Err(Malformed),
    }
}

fn version(greeting: &Value) -> Option<Version> {
    let numbers = greeting.get("version")?.get("qemu")?;
    let number = |name| u32::try_from(numbers.get(name)?.as_u64()?).ok();
    Some(Version {
        major: number("major")?,
        minor: number("minor")?,
    })
}

fn event(name: &str, data: Option<&Value>) -> Event {
    let text = |member: &str| {
        data.and_then(|data| data.get(member))
            .and_then(Value::as_str)
    };
    match name {
        "SHUTDOWN" => Event::Shutdown(match text("reason") {
            Some("guest-shutdown") => ShutdownReason::GuestShutdown,
            Some("guest-reset") => ShutdownReason::GuestReset,
            Some("guest-panic") => ShutdownReason::GuestPanic,
            Some("host-qmp-quit" | "host-signal" | "host-ui" | "host-error") => {
                ShutdownReason::Host
            }
            _ => ShutdownReason::Other,
        }),
        "RESET" => Event::Reset,
        "GUEST_PANICKED" => Event::Panicked,
        "DUMP_COMPLETED" => Event::Dumped(text("error").map(plain)),
        "DEVICE_DELETED" => match text("device") {
            Some(device) => Event::Unplugged(plain(device)),
            None => Event::Other,
        },
        _ => Event::Other,
    }
}

/// The words of a refusal, cut and without control characters.
fn description(error: &Map<String, Value>) -> String {
    let text = error.get("desc").and_then(Value::as_str);
    plain(text.unwrap_or("no reason is given"))
}

/// The beginning of a text of QEMU's, without control characters.
pub(crate) fn plain(text: &str) -> String {
    let shown = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let shown: String = shown.take(LONGEST_TEXT).collect();
    shown.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_of_qemu_are_read() {
        let greeting = r#"{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "Debian"}, "capabilities": ["oob"]}}"#;
        let version = Version { major: 7, minor: 2 };
        assert_eq!(parse(greeting.as_bytes()), Ok(Message::Greeting(version)));
        assert_eq!(
            parse(br#"{"return": {"status": "running"}, "id": 3}"#),
            Ok(Message::Return(Some(3), json!({"status": "running"})))
        );
        let refusal =
            br#"{"id": 4, "error": {"class": "GenericError", "desc": "no\nsuch\u001b[1m thing"}}"#;
        assert_eq!(
            parse(refusal),
            Ok(Message::Refusal(Some(4), "no such [1m thing".to_owned()))
        );
    }

    #[test]
    fn events_say_why_the_machine_ends() {
        let shutdown = |reason: &str| {
            let line = json!({
                "timestamp": {"seconds": 1, "microseconds": 2}, "event": "SHUTDOWN",
                "data": {"guest": true, "reason": reason},
            });
            parse(line.to_string().as_bytes()).unwrap()
        };
        for (reason, expected) in [
            ("guest-shutdown", ShutdownReason::GuestShutdown),
            ("guest-reset", ShutdownReason::GuestReset),
            ("guest-panic", ShutdownReason::GuestPanic),
            ("host-qmp-quit", ShutdownReason::Host),
            ("snapshot-load", ShutdownReason::Other),
        ] {
            assert_eq!(
                shutdown(reason),
                Message::Event(Event::Shutdown(expected)),
                "{reason}"
            );
        }
        assert_eq!(
            parse(br#"{"event": "NIC_RX_FILTER_CHANGED"}"#),
            Ok(Message::Event(Event::Other))
        );
    }

    #[test]
    fn a_device_that_is_gone_is_named() {
        let gone = br#"{"event": "DEVICE_DELETED", "data": {"device": "scsi0-1", "path": "/machine/peripheral/scsi0-1"}}"#;
        let named = Event::Unplugged("scsi0-1".to_owned());
        assert_eq!(parse(gone), Ok(Message::Event(named)));
        let part =
            br#"{"event": "DEVICE_DELETED", "data": {"path": "/machine/peripheral/scsi0-1/x"}}"#;
        assert_eq!(parse(part), Ok(Message::Event(Event::Other)));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for line in [
            "",
            "{",
            "[]",
            "7",
            "{}",
            r#"{"QMP": {}}"#,
            r#"{"event": 7}"#,
            r#"{"error": "x"}"#,
            r#"{"QMP": {"version": {"qemu": {"major": 99999999999, "minor": 0}}}}"#,
        ] {
            assert_eq!(parse(line.as_bytes()), Err(Malformed), "{line}");
        }
    }

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(plain(&"x".repeat(9999)).len(), LONGEST_TEXT);
    }
}
