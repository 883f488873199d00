//! The host's stdin to the terminal.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::{
    io::Errno,
    termios::{LocalModes, SpecialCodeIndex, tcgetattr},
};

use crate::relay::{Flow, Pending};

/// One direction: pipe to master.
#[derive(Debug)]
pub(super) struct Input {
    pipe: OwnedFd,
    /// Read, not yet taken by the terminal.
    pending: Pending,
    /// Whether the line the terminal edits has something in it, as far as we know.
    line_open: bool,
    /// Whether the end of the pipe has been typed since its last byte.
    ended: bool,
}

impl Input {
    /// Reads from `pipe`, non-blocking.
    pub(super) const fn new(pipe: OwnedFd) -> Self {
        Self {
            pipe,
            pending: Pending::new(),
            line_open: false,
            ended: false,
        }
    }

    /// What the event loop watches.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }

    /// Moves up to about `budget` bytes. [`Flow::Ended`] means that no more will ever come from this pipe.
    pub(super) fn pump(&mut self, master: &OwnedFd, scratch: &mut [u8], budget: usize) -> Flow {
        let mut moved = 0;
        loop {
            if let Some(flow) = self.pending.write_to(master) {
                return flow;
            }
            if moved >= budget {
                return Flow::Spent;
            }
            match rustix::io::read(&self.pipe, &mut *scratch) {
                Ok(0) if self.ended => return Flow::Blocked,
                Ok(0) => {
                    self.ended = true;
                    self.pending.push(&end_of_file(master, self.line_open));
                    self.line_open = false;
                }
                Ok(count) => {
                    self.ended = false;
                    self.line_open = scratch[count - 1] != b'\n';
                    self.pending.push(&scratch[..count]);
                    moved += count;
                }
                Err(Errno::AGAIN) => return Flow::Blocked,
                Err(Errno::INTR) => {}
                Err(_) => return Flow::Ended,
            }
        }
    }
}

/// What to type for "end of file": the terminal's VEOF character. In a line that has something in it the first one only
/// hands over the line, so there it takes two. Nothing where the character is switched off.
fn end_of_file(master: &OwnedFd, line_open: bool) -> Vec<u8> {
    let Ok(modes) = tcgetattr(master) else {
        return Vec::new();
    };
    let character = modes.special_codes[SpecialCodeIndex::VEOF];
    let count = match (character, modes.local_modes.contains(LocalModes::ICANON)) {
        (0, _) => 0,
        (_, true) if line_open => 2,
        _ => 1,
    };
    vec![character; count]
}
