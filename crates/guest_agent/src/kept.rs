//! The pipes that were given for processes, so that they can be handed out again.
//!
//! A host that was restarted has lost its way to them, and the process may have put other files in their places. So
//! the agent keeps a descriptor of each, opened with `O_PATH`: it leads to the pipe, but is neither a reader nor a
//! writer of it, so that end-of-file and `EPIPE` come as if it were not there (`open(2)`, `pipe(7)`).

use std::os::fd::{AsFd as _, OwnedFd};

use hcs_schema::Stdio;
use rustix::{
    fs::{OFlags, fstat},
    process::{Resource, getrlimit},
};

use crate::own::Own;

/// Ways back to the pipes of one process.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// `None` where none was given, or none could be kept.
    pub(crate) pipes: Stdio<Option<OwnedFd>>,
}

impl Kept {
    fn count(&self) -> usize {
        self.pipes.present().count()
    }
}

/// Keeps pipes, within a share of the descriptors the agent may have: the rest is for starting processes.
#[derive(Debug)]
pub(crate) struct Keeper {
    limit: usize,
    used: usize,
}

impl Keeper {
    /// May use half of the descriptors.
    pub(crate) fn new() -> Self {
        let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX) / 2;
        Self {
            limit: usize::try_from(most).unwrap_or(usize::MAX),
            used: 0,
        }
    }

    /// Keeps the pipes in `stdio`. What cannot be kept cannot be handed out again; the process is not disturbed.
    pub(crate) fn keep(&mut self, own: &Own, stdio: &Stdio<Option<OwnedFd>>) -> Kept {
        if self.used + stdio.present().count() > self.limit {
            return Kept::default();
        }
        let kept = Kept {
            pipes: stdio
                .as_ref()
                .map(|end| end.as_ref().and_then(|end| way_back(own, end))),
        };
        self.used += kept.count();
        kept
    }

    /// The process has ended.
    pub(crate) fn release(&mut self, kept: Kept) {
        self.used -= kept.count();
        drop(kept);
    }
}

/// An `O_PATH` descriptor of the same pipe.
fn way_back(own: &Own, end: &OwnedFd) -> Option<OwnedFd> {
    let opened = own.reopen(end.as_fd(), OFlags::PATH).ok()?;
    let (wanted, found) = (fstat(end).ok()?, fstat(&opened).ok()?);
    ((wanted.st_dev, wanted.st_ino) == (found.st_dev, found.st_ino)).then_some(opened)
}

#[cfg(test)]
mod tests {
    use rustix::{
        io::Errno,
        pipe::{PipeFlags, pipe_with},
    };

    use super::*;

    fn stdout() -> (OwnedFd, Stdio<Option<OwnedFd>>) {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let stdio = Stdio {
            stdout: Some(write),
            ..Stdio::default()
        };
        (read, stdio)
    }

    #[test]
    fn a_kept_pipe_is_not_kept_open() {
        let (read, stdio) = stdout();
        let mut keeper = Keeper::new();
        let kept = keeper.keep(&Own::at_usual_places(), &stdio);
        assert_eq!((kept.count(), keeper.used), (1, 1));
        drop(stdio);
        let mut buffer = [0; 1];
        assert_eq!(rustix::io::read(&read, &mut buffer), Ok(0), "the end");
        let (read, stdio) = stdout();
        let other = keeper.keep(&Own::at_usual_places(), &stdio);
        drop(read);
        let written = rustix::io::write(stdio.stdout.as_ref().unwrap(), b"x");
        assert_eq!(written, Err(Errno::PIPE));
        keeper.release(kept);
        keeper.release(other);
        assert_eq!(keeper.used, 0);
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let mut keeper = Keeper { limit: 1, used: 0 };
        let (_read, stdio) = stdout();
        assert_eq!(keeper.keep(&Own::at_usual_places(), &stdio).count(), 1);
        assert_eq!(keeper.keep(&Own::at_usual_places(), &stdio).count(), 0);
    }
}
