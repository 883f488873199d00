//! What an attached client sends to the standard input of a detached process.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use crate::relay::{Flow, Pending};

/// Bytes taken from a client at once.
const CHUNK: usize = 4 << 10;

/// One client.
#[derive(Debug)]
pub(super) struct Input {
    /// Non-blocking.
    pipe: OwnedFd,
    /// Read, not yet taken by the process.
    pending: Pending,
}

impl Input {
    /// Reads from `pipe`, which is non-blocking.
    pub(super) const fn new(pipe: OwnedFd) -> Self {
        Self {
            pipe,
            pending: Pending::new(),
        }
    }

    /// Passes on what `stdin` takes, up to about `budget` bytes. [`Flow::Ended`] means that nothing more comes, or that
    /// no process reads it any more.
    pub(super) fn pump(&mut self, stdin: &OwnedFd, scratch: &mut [u8], budget: usize) -> Flow {
        let chunk = scratch.len().min(CHUNK);
        let mut moved = 0;
        loop {
            if let Some(flow) = self.pending.write_to(stdin) {
                return flow;
            }
            if moved >= budget {
                return Flow::Spent;
            }
            match rustix::io::read(&self.pipe, &mut scratch[..chunk]) {
                Ok(0) => return Flow::Ended,
                Ok(count) => {
                    moved += count;
                    self.pending.push(&scratch[..count]);
                }
                Err(Errno::AGAIN) => return Flow::Blocked,
                Err(Errno::INTR) => {}
                Err(_) => return Flow::Ended,
            }
        }
    }
}

impl AsFd for Input {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}
