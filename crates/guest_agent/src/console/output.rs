//! The terminal to the host's stdout.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use crate::relay::{self, Flow, Pending};

/// One direction: master to pipe.
#[derive(Debug)]
pub(super) struct Output {
    /// `None` when no client wanted the output.
    pipe: Option<OwnedFd>,
    /// Read, not yet taken by the pipe. Empty while the host keeps up, so an idle console holds no buffer.
    pending: Pending,
    /// Whether the terminal has ended.
    ended: bool,
}

impl Output {
    /// Writes into `pipe`, non-blocking.
    pub(super) const fn new(pipe: Option<OwnedFd>) -> Self {
        Self {
            pipe,
            pending: Pending::new(),
            ended: false,
        }
    }

    /// What the event loop watches.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(|pipe| pipe.as_fd())
    }

    /// Moves up to about `budget` bytes. [`Flow::Ended`] means that every byte is delivered, or that no process reads.
    pub(super) fn pump(&mut self, master: &OwnedFd, scratch: &mut [u8], budget: usize) -> Flow {
        let mut moved = 0;
        loop {
            if let Some(flow) = self.deliver_pending() {
                return flow;
            }
            if self.ended {
                return Flow::Ended;
            }
            if moved >= budget {
                return Flow::Spent;
            }
            match rustix::io::read(master, &mut *scratch) {
                Ok(0) => self.ended = true,
                Ok(count) => {
                    moved += count;
                    if let Some(flow) = self.deliver(&scratch[..count]) {
                        return flow;
                    }
                }
                Err(Errno::AGAIN) => return Flow::Blocked,
                Err(Errno::INTR) => {}
                // EIO: no process has the terminal open any more, and all that was written to it has been read.
                Err(_) => self.ended = true,
            }
        }
    }

    /// Delivers fresh bytes, keeping what the pipe does not take.
    fn deliver(&mut self, bytes: &[u8]) -> Option<Flow> {
        let pipe = self.pipe.as_ref()?;
        let mut taken = 0;
        let flow = relay::write(pipe, bytes, &mut taken);
        self.pending.push(&bytes[taken..]);
        flow
    }

    fn deliver_pending(&mut self) -> Option<Flow> {
        self.pending.write_to(self.pipe.as_ref()?)
    }
}
