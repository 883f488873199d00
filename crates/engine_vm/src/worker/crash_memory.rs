//! Writes the memory of a guest that crashed to the file that the service has opened for it.
//!
//! QEMU leaves such a guest where it is (`-action panic=pause`) and writes an ELF core into a pipe. This process copies
//! that into the file. QEMU never has the file: one that its guest has taken over can write to it only after a crash,
//! and no more than a machine of this size has. Places of zeros take no room on the disk.

use std::{
    fs::File,
    io::{self, ErrorKind, Read as _},
    os::{
        fd::{AsFd as _, BorrowedFd},
        unix::fs::FileExt as _,
    },
    time::Duration,
};

use rustix::{
    io::ioctl_fionbio,
    pipe::{PipeFlags, fcntl_setpipe_size, pipe_with},
};

use crate::qmp::{
    Client, QmpError,
    command::{CloseFd, DumpGuestMemory, GetFd, Quit},
};

/// How long QEMU may take for a command.
const LIMIT: Duration = Duration::from_secs(4);
/// What the monitor calls the pipe.
const NAME: &str = "crash-memory";
/// Bytes of the pipe, where the kernel allows as many.
const PIPE: usize = 1 << 20;
/// Bytes that are written at once, or left out.
const PIECE: usize = 64 << 10;
/// Bytes that are copied before the worker looks at what else there is to do.
const AT_ONCE: u64 = 8 << 20;

/// Why the memory is not in the file.
#[derive(Debug, thiserror::Error)]
enum Unwritten {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("QEMU wrote more than the {0} bytes that the machine can have")]
    TooLong(u64),
    #[error(transparent)]
    Qmp(#[from] QmpError),
    #[error("QEMU gave up: {0}")]
    GivenUp(String),
    #[error("QEMU ended before all was written")]
    Cut,
}

/// How far it is.
#[derive(Debug)]
enum State {
    /// The guest has not crashed.
    Unneeded,
    /// QEMU writes.
    Copying(Copying),
    /// All that QEMU wrote is in the file, and QEMU has yet to say how it went.
    Copied,
    /// It is written, or is not for this reason.
    Done(Result<(), Unwritten>),
}

/// A core that comes.
#[derive(Debug)]
struct Copying {
    pipe: File,
    /// Bytes so far.
    length: u64,
    piece: Vec<u8>,
    /// Whether QEMU has said that all is written.
    is_told: bool,
}

/// The file for the memory of a guest that crashed.
#[derive(Debug)]
pub(super) struct CrashMemory {
    file: File,
    /// The most bytes that it gets of a guest that has what it began with.
    most: u64,
    state: State,
}

impl CrashMemory {
    /// Memory that goes to `file`, at most so many bytes and what the guest may have on top then.
    pub(super) const fn new(file: File, most: u64) -> Self {
        Self {
            file,
            most,
            state: State::Unneeded,
        }
    }

    /// The guest has crashed, with at most so many bytes on top: has QEMU write. QEMU ends afterwards, also where this
    /// fails.
    pub(super) fn begin(&mut self, monitor: &mut Client, on_top: u64) {
        if !matches!(self.state, State::Unneeded) {
            return;
        }
        self.most = self.most.saturating_add(on_top);
        match self.ask(monitor) {
            Ok(copying) => self.state = State::Copying(copying),
            Err(error) => self.finish(monitor, Err(error)),
        }
    }

    fn ask(&mut self, monitor: &mut Client) -> Result<Copying, Unwritten> {
        self.file.set_len(0)?;
        let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC).map_err(io::Error::from)?;
        ioctl_fionbio(&ours, true).map_err(io::Error::from)?;
        // A smaller one is slower.
        let _usual = fcntl_setpipe_size(&ours, PIPE);
        let given = GetFd {
            name: NAME.to_owned(),
            descriptor: theirs.as_fd(),
        };
        monitor.execute(&given, LIMIT)?;
        drop(theirs);
        if let Err(error) = monitor.execute(&DumpGuestMemory(NAME.to_owned()), LIMIT) {
            let _taken_perhaps = monitor.execute(&CloseFd(NAME.into()), LIMIT);
            return Err(error.into());
        }
        Ok(Copying {
            pipe: ours.into(),
            length: 0,
            piece: vec![0; PIECE],
            is_told: false,
        })
    }

    /// Readable when there is more to copy.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.state {
            State::Copying(copying) => Some(copying.pipe.as_fd()),
            _ => None,
        }
    }

    /// Copies what is there.
    pub(super) fn work(&mut self, monitor: Option<&mut Client>) {
        let State::Copying(copying) = &mut self.state else {
            return;
        };
        let is_told = copying.is_told;
        let end = copying.copy(&self.file, self.most);
        match (end, monitor) {
            (Ok(false), _) => {}
            (Ok(true), Some(monitor)) if is_told => self.finish(monitor, Ok(())),
            (Ok(true), None) if is_told => self.state = State::Done(Ok(())),
            (Ok(true), _) => self.state = State::Copied,
            (Err(error), Some(monitor)) => self.finish(monitor, Err(error)),
            (Err(error), None) => self.state = State::Done(Err(error)),
        }
    }

    /// QEMU says how it went. It closes the pipe afterwards, and what it wrote last may still lie there.
    pub(super) fn hear(&mut self, monitor: &mut Client, why_not: Option<&str>) {
        match (&mut self.state, why_not) {
            (State::Copied | State::Copying(_), Some(why)) => {
                self.finish(monitor, Err(Unwritten::GivenUp(why.to_owned())));
            }
            (State::Copying(copying), None) => copying.is_told = true,
            (State::Copied, None) => self.finish(monitor, Ok(())),
            (State::Unneeded | State::Done(_), _) => {}
        }
    }

    fn finish(&mut self, monitor: &mut Client, outcome: Result<(), Unwritten>) {
        self.state = State::Done(outcome);
        // The machine has crashed: it ends however this goes, by the worker's end at the latest.
        let _ended_already = monitor.execute(&Quit, LIMIT);
    }

    /// QEMU is gone: whether the memory of its guest was written, where the guest had crashed. A part of it is no use.
    pub(super) fn end(self) -> Option<Result<(), String>> {
        let outcome = match self.state {
            State::Unneeded => return None,
            State::Copying(_) | State::Copied => Err(Unwritten::Cut),
            State::Done(outcome) => outcome,
        };
        if outcome.is_err() {
            let _as_it_is = self.file.set_len(0);
        }
        Some(outcome.map_err(|why| {
            format!("the memory of the guest that crashed was not written to its file: {why}")
        }))
    }
}

impl Copying {
    /// Copies what is there, up to a bound; returns whether that was all.
    fn copy(&mut self, file: &File, most: u64) -> Result<bool, Unwritten> {
        let until = self.length.saturating_add(AT_ONCE);
        while self.length < until {
            let read = match self.pipe.read(&mut self.piece) {
                Ok(0) => {
                    // What was left out at the end counts.
                    file.set_len(self.length)?;
                    return Ok(true);
                }
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error.into()),
            };
            let piece = &self.piece[..read];
            let length = self.length.saturating_add(read as u64);
            if length > most {
                return Err(Unwritten::TooLong(most));
            }
            if piece.iter().any(|byte| *byte != 0) {
                file.write_all_at(piece, self.length)?;
            }
            self.length = length;
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn copied(most: u64, parts: &[&[u8]]) -> (File, Result<bool, Unwritten>) {
        let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        ioctl_fionbio(&ours, true).unwrap();
        let mut theirs = File::from(theirs);
        let file = tempfile::tempfile().unwrap();
        let mut copying = Copying {
            pipe: ours.into(),
            length: 0,
            piece: vec![0; PIECE],
            is_told: false,
        };
        for part in parts {
            theirs.write_all(part).unwrap();
            match copying.copy(&file, most) {
                Ok(end) => assert!(!end),
                refused => return (file, refused),
            }
        }
        drop(theirs);
        let end = copying.copy(&file, most);
        (file, end)
    }

    #[test]
    fn what_is_written_arrives_and_zeros_are_left_out() {
        let zeros = [0; 5000];
        let (file, end) = copied(1 << 20, &[b"core", &zeros, b"x", &zeros]);
        assert!(end.unwrap());
        let mut bytes = vec![1; 10_005];
        file.read_exact_at(&mut bytes, 0).unwrap();
        let expected = [b"core".as_slice(), &zeros, b"x", &zeros].concat();
        assert!(bytes == expected);
        assert_eq!(file.metadata().unwrap().len(), 10_005);
    }

    #[test]
    fn no_more_is_taken_than_a_machine_has() {
        let (file, end) = copied(6, &[b"four", b"more"]);
        assert!(matches!(end, Err(Unwritten::TooLong(6))), "{end:?}");
        let memory = CrashMemory {
            file: file.try_clone().unwrap(),
            most: 6,
            state: State::Done(end.map(drop)),
        };
        let told = memory.end().unwrap().unwrap_err();
        assert!(
            told.ends_with("the 6 bytes that the machine can have"),
            "{told}"
        );
        assert_eq!(file.metadata().unwrap().len(), 0, "a part is no use");
    }

    #[test]
    fn a_core_that_was_cut_is_told() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(CrashMemory::new(file.try_clone().unwrap(), 1).end(), None);
        let cut = CrashMemory {
            file,
            most: 1,
            state: State::Copied,
        };
        assert!(
            cut.end()
                .unwrap()
                .unwrap_err()
                .contains("QEMU ended before")
        );
    }
}
