//! [`Signal`]: the signals that [`super::SignalProcessOptions`] may name. [`ProcessSignal`]: those of the schema.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::Value;

use crate::{
    fault::quote,
    shape::{Kind, Shaped},
};

/// Linux signals by number, as on every architecture this project runs on (signal(7)).
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// Largest signal number (`SIGRTMAX`).
const LAST: u8 = 64;

/// `SIGRTMIN` of glibc, which keeps the two below for itself.
const RTMIN: u8 = 34;

/// A signal: a name of the schema, or a Linux signal.
///
/// The schema knows only the events of a Windows console. Clients of Linux guests send numbers, and this project also
/// takes names such as `SIGTERM` or `TERM`. Number 0 means `SIGKILL`, as Linux guests of HCS read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// An event of a Windows console.
    Console(ProcessSignal),
    /// A Linux signal, 0 to 64.
    Linux(u8),
}

impl crate::read::Read for Signal {
    fn read(value: Value) -> Result<Self, crate::read::Misfit> {
        Self::read(&value).map_err(crate::read::Misfit::new)
    }
}

impl Signal {
    pub(crate) const EXPECTED: &str = "a signal: \"CtrlC\", \"CtrlBreak\", \"CtrlClose\", \"CtrlLogOff\", \"CtrlShutdown\", a Linux signal's name such \
         as \"SIGTERM\", or its number from 0 to 64";

    /// The Linux signal to send, 1 to 64.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Console(ProcessSignal::CtrlC) => 2,
            Self::Console(ProcessSignal::CtrlBreak) => 3,
            Self::Console(ProcessSignal::CtrlClose | ProcessSignal::CtrlLogOff) => 1,
            Self::Console(ProcessSignal::CtrlShutdown) => 15,
            Self::Linux(0) => 9,
            Self::Linux(number) => number,
        }
    }

    /// Reads a JSON value; the error is a sentence that names the value found.
    pub(crate) fn read(value: &Value) -> Result<Self, String> {
        let found = match value {
            Value::String(name) => {
                return Self::from_name(name).ok_or(format!("{} is not a signal", quote(name)));
            }
            Value::Number(number) => {
                let small = number.as_u64().and_then(|n| u8::try_from(n).ok());
                return match small.filter(|n| *n <= LAST) {
                    Some(number) => Ok(Self::Linux(number)),
                    None => Err(format!("{number} is not the number of a signal")),
                };
            }
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        };
        Err(format!("found {found} where a signal is expected"))
    }

    /// A name of the schema, or of a Linux signal with or without `SIG`, `SIGRTMIN+N` and `SIGRTMAX-N` included; case
    /// counts.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        if let Some(signal) = ProcessSignal::ALL.iter().find(|s| s.name() == name) {
            return Some(Self::Console(*signal));
        }
        let short = name.strip_prefix("SIG").unwrap_or(name);
        let named = NAMES.iter().zip(1..).find(|(known, _)| **known == short);
        let number = named.map(|(_, number)| number);
        number.or_else(|| real_time(short)).map(Self::Linux)
    }
}

/// The number of `RTMIN`, `RTMIN+N`, `RTMAX` or `RTMAX-N`, counted as the C library of most programs does, and kill(1).
fn real_time(name: &str) -> Option<u8> {
    let (first, offset) = match name.strip_prefix("RTMIN") {
        Some(rest) => (
            RTMIN,
            rest.strip_prefix('+').or(rest.is_empty().then_some("0"))?,
        ),
        None => {
            let rest = name.strip_prefix("RTMAX")?;
            (
                LAST,
                rest.strip_prefix('-').or(rest.is_empty().then_some("0"))?,
            )
        }
    };
    let plain = offset.bytes().all(|byte| byte.is_ascii_digit());
    let offset: u8 = offset.parse().ok().filter(|_| plain)?;
    let number = match first {
        RTMIN => first.checked_add(offset)?,
        _ => first.checked_sub(offset)?,
    };
    (RTMIN..=LAST).contains(&number).then_some(number)
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Console(signal) => f.write_str(signal.name()),
            Self::Linux(number) => match NAMES.get(usize::from(*number).wrapping_sub(1)) {
                Some(name) => write!(f, "SIG{name}"),
                None => write!(f, "signal {number}"),
            },
        }
    }
}

impl Shaped for Signal {
    const KIND: Kind = Kind::Signal;
}

impl Serialize for Signal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Console(signal) => signal.serialize(serializer),
            Self::Linux(number) => serializer.serialize_u8(*number),
        }
    }
}

impl<'de> Deserialize<'de> for Signal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::read(&value).map_err(D::Error::custom)
    }
}

schema_enum! {
    /// The signals of the schema, which are those of a Windows console.
    ProcessSignal {
        /// Interrupt from the keyboard. On Linux `SIGINT`.
        CtrlC = "CtrlC", 2.1;
        /// Break from the keyboard. On Linux `SIGQUIT`.
        CtrlBreak = "CtrlBreak", 2.1;
        /// The console was closed. On Linux `SIGHUP`.
        CtrlClose = "CtrlClose", 2.1;
        /// The user logs off. On Linux `SIGHUP`.
        CtrlLogOff = "CtrlLogOff", 2.1;
        /// The system shuts down. On Linux `SIGTERM`.
        CtrlShutdown = "CtrlShutdown", 2.1;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn signals_of_real_time_are_counted_from_either_end() {
        for (name, number) in [
            ("RTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("RTMIN+30", 64),
            ("SIGRTMAX", 64),
            ("RTMAX-1", 63),
            ("RTMAX-30", 34),
        ] {
            assert_eq!(
                Signal::from_name(name).map(Signal::number),
                Some(number),
                "{name}"
            );
        }
        for bad in [
            "RTMIN+31", "RTMIN-1", "RTMAX+1", "RTMAX-31", "RTMIN+", "RTMIN++1", "RTMIN3", "RT",
        ] {
            assert_eq!(Signal::from_name(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_and_numbers_are_signals() {
        for (value, number) in [
            (json!("CtrlC"), 2),
            (json!("CtrlShutdown"), 15),
            (json!("SIGTERM"), 15),
            (json!("SYS"), 31),
            (json!(15), 15),
            (json!(0), 9),
            (json!(64), 64),
        ] {
            let signal = Signal::read(&value).unwrap();
            assert_eq!(signal.number(), number, "{value}");
            let back: Signal =
                serde_json::from_value(serde_json::to_value(signal).unwrap()).unwrap();
            assert_eq!(back, signal);
        }
        for bad in [
            json!(65),
            json!(-1),
            json!(1.5),
            json!("sigterm"),
            json!(""),
            json!(null),
            json!([15]),
        ] {
            assert!(Signal::read(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn signals_have_names() {
        assert_eq!(Signal::Linux(15).to_string(), "SIGTERM");
        assert_eq!(Signal::Linux(40).to_string(), "signal 40");
        assert_eq!(Signal::Console(ProcessSignal::CtrlC).to_string(), "CtrlC");
    }
}
