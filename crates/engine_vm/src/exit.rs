//! How a machine ended, and the file by which its worker tells that to the next service.
//!
//! The worker writes one line when QEMU has ended, and a second one where something of it had failed, both at once. A
//! file without them means that the worker was killed.

use std::os::unix::process::ExitStatusExt as _;
use std::{fs::File, io::Write as _, path::Path, process::ExitStatus};

use hcs_engine::engine::Exit;

use crate::qmp::{Event, ShutdownReason};

/// Name of the file in the machine's directory.
pub(crate) const FILE: &str = "exit";

/// What QEMU has said of the machine's end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Heard {
    panicked: bool,
    shutdown: Option<ShutdownReason>,
}

impl Heard {
    /// Takes note of an event.
    pub(crate) fn hear(&mut self, event: &Event) {
        match event {
            Event::Panicked => self.panicked = true,
            // The first one is the cause; QEMU is told to end by the worker afterwards.
            Event::Shutdown(reason) => {
                self.shutdown.get_or_insert(*reason);
            }
            // A guest that starts again has no panic behind it.
            Event::Reset => *self = Self::default(),
            Event::Dumped(_) | Event::Unplugged(_) | Event::Other => {}
        }
    }

    /// How the machine ended whose QEMU ended with `status`.
    pub(crate) fn exit(self, status: Option<ExitStatus>) -> Exit {
        if self.panicked || self.shutdown == Some(ShutdownReason::GuestPanic) {
            return Exit::Crash;
        }
        match self.shutdown {
            Some(ShutdownReason::GuestShutdown) => return Exit::PowerOff,
            Some(ShutdownReason::GuestReset) => return Exit::Reset,
            Some(ShutdownReason::Host) => return Exit::Killed,
            _ => {}
        }
        match status.map(|status| (status.signal(), status.code())) {
            Some((Some(libc::SIGKILL | libc::SIGTERM), _)) => Exit::Killed,
            // QEMU itself failed, and the guest with it.
            Some((Some(_), _) | (_, Some(1..))) => Exit::Crash,
            _ => Exit::Unknown,
        }
    }
}

/// How a machine ended, as its worker writes it down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// How.
    pub(crate) exit: Exit,
    /// Whether the memory of the guest that crashed is in the file of the document.
    pub(crate) memory_is_written: bool,
    /// What had gone wrong before: one line of text.
    pub(crate) fault: Option<String>,
}

impl Ended {
    /// The end of a machine whose worker had no last word.
    pub(crate) const KILLED: Self = Self {
        exit: Exit::Killed,
        memory_is_written: false,
        fault: None,
    };
}

/// The name of a crash after which the memory of the guest was written.
const WRITTEN: &str = "CrashWithMemory";

/// Names of the other ends in the file.
const NAMES: [(Exit, &str); 5] = [
    (Exit::PowerOff, "PowerOff"),
    (Exit::Reset, "Reset"),
    (Exit::Crash, "Crash"),
    (Exit::Killed, "Killed"),
    (Exit::Unknown, "Unknown"),
];

/// Writes the end down. The worker leaves afterwards, so a failure cannot be told.
pub(crate) fn write(file: &mut File, ended: &Ended) {
    let name = NAMES.iter().find(|(known, _)| *known == ended.exit);
    let name = match ended.exit {
        Exit::Crash if ended.memory_is_written => WRITTEN,
        _ => name.map_or("Unknown", |(_, name)| name),
    };
    let mut text = format!("{name}\n");
    if let Some(fault) = ended.fault.as_ref().filter(|fault| !fault.is_empty()) {
        text.push_str(&fault.replace('\n', " "));
        text.push('\n');
    }
    let _killed_it_seems = file.write_all(text.as_bytes());
}

/// The end that is written down in the machine's `directory`; `None` without a whole line.
pub(crate) fn read(directory: &Path) -> Option<Ended> {
    let text = std::fs::read_to_string(directory.join(FILE)).ok()?;
    let (name, fault) = text
        .strip_suffix('\n')
        .map(|text| match text.split_once('\n') {
            Some((name, fault)) => (name, Some(fault.to_owned())),
            None => (text, None),
        })?;
    let memory_is_written = name == WRITTEN;
    let exit = match memory_is_written {
        true => Exit::Crash,
        false => NAMES.iter().find(|(_, known)| *known == name)?.0,
    };
    let whole = fault.as_deref().is_none_or(|fault| !fault.is_empty());
    whole.then_some(Ended {
        exit,
        memory_is_written,
        fault,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_what_was_heard_first() {
        let after = |events: &[Event], status: i32| {
            let mut heard = Heard::default();
            events.iter().for_each(|event| heard.hear(event));
            heard.exit(Some(ExitStatus::from_raw(status)))
        };
        use ShutdownReason::{GuestPanic, GuestReset, GuestShutdown, Host};
        let shutdown = Event::Shutdown;
        assert_eq!(after(&[shutdown(GuestShutdown)], 0), Exit::PowerOff);
        assert_eq!(after(&[shutdown(GuestReset)], 0), Exit::Reset);
        assert_eq!(
            after(&[shutdown(GuestReset), shutdown(Host)], 0),
            Exit::Reset
        );
        assert_eq!(
            after(&[Event::Panicked, shutdown(GuestReset)], 0),
            Exit::Crash
        );
        assert_eq!(after(&[shutdown(GuestPanic)], 0), Exit::Crash);
        assert_eq!(
            after(&[Event::Panicked, Event::Reset, shutdown(GuestShutdown)], 0),
            Exit::PowerOff
        );
        assert_eq!(after(&[shutdown(Host)], 0), Exit::Killed);
        assert_eq!(after(&[], libc::SIGKILL), Exit::Killed);
        assert_eq!(after(&[], libc::SIGSEGV), Exit::Crash);
        assert_eq!(after(&[], 1 << 8), Exit::Crash);
        assert_eq!(after(&[], 0), Exit::Unknown);
    }

    #[test]
    fn an_end_is_read_as_it_was_written_and_half_a_line_is_none() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join(FILE);
        for (exit, _) in NAMES {
            let written: &[bool] = match exit {
                Exit::Crash => &[false, true],
                _ => &[false],
            };
            for memory_is_written in written {
                let mut ended = Ended {
                    exit,
                    memory_is_written: *memory_is_written,
                    fault: None,
                };
                write(&mut File::create(&path).unwrap(), &ended);
                assert_eq!(read(place.path()), Some(ended.clone()));
                ended.fault = Some("a\nb".to_owned());
                write(&mut File::create(&path).unwrap(), &ended);
                ended.fault = Some("a b".to_owned());
                assert_eq!(read(place.path()), Some(ended));
            }
        }
        for text in ["", "PowerOff", "Power\n", "PowerOff\n\n"] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(read(place.path()), None, "{text:?}");
        }
    }
}
