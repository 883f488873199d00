//! Emulated consoles: a pseudo-terminal for the process, relayed to the host's pipes.
//!
//! ```text
//!   host's stdin  ──▶ Input ──▶ master ┄┄ slave = 0, 1, 2 and controlling terminal of the process
//!   host's stdout ◀── Output ◀─ master
//! ```
//!
//! - Backpressure goes through: nothing is read that the other side does not take.
//! - The end of stdin is typed as the end-of-file character. The pipe stays open: a process that opens it again may go
//!   on.
//! - The agent holds the slave until the process has ended, so a program may close all its descriptors of the terminal
//!   and open `/dev/tty` again. The output ends when the process and all others that have the terminal open are gone,
//!   and every byte of it has gone to the host.
//! - Output that is not read any more (the host closed stdout) hangs the terminal up, as closing a terminal window
//!   does: SIGHUP to the session. A silent process is not disturbed, as with a pipe.
//! - A console without stdout is drained into nothing.

mod input;
mod output;
mod pty;

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::io::Errno;

pub(crate) use pty::Pty;

use self::{input::Input, output::Output};
use crate::{command::ConsoleSize, relay::Flow};

/// The most bytes one console moves in a row before the others get their turn.
const TURN_BYTES: usize = 64 << 10;

/// What [`Console::pump`] leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pumped {
    /// Nothing to do until the next event of one of its descriptors.
    Waiting,
    /// Its turn was up; more can be done at once.
    More,
    /// All output is delivered, or never will be: drop it.
    Finished,
}

/// One console in use. Dropping it closes the master (hang-up) and the host's streams.
#[derive(Debug)]
pub(crate) struct Console {
    master: OwnedFd,
    /// Held until the process has ended.
    slave: Option<OwnedFd>,
    input: Option<Input>,
    output: Output,
}

impl Console {
    /// Relays between `pty` and the host's ends, which become non-blocking.
    pub(crate) fn new(
        pty: Pty,
        stdin: Option<OwnedFd>,
        stdout: Option<OwnedFd>,
    ) -> Result<Self, Errno> {
        for descriptor in stdin.iter().chain(&stdout) {
            let flags = rustix::fs::fcntl_getfl(descriptor)?;
            rustix::fs::fcntl_setfl(descriptor, flags | rustix::fs::OFlags::NONBLOCK)?;
        }
        Ok(Self {
            master: pty.master,
            slave: Some(pty.slave),
            input: stdin.map(Input::new),
            output: Output::new(stdout),
        })
    }

    /// What the event loop must watch, edge-triggered, for reading and writing.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let streams = [
            self.input.as_ref().map(Input::descriptor),
            self.output.descriptor(),
        ];
        std::iter::once(self.master.as_fd()).chain(streams.into_iter().flatten())
    }

    /// The process has ended: from now on the terminal ends with the last one who has it open.
    pub(crate) fn process_ended(&mut self) {
        self.slave = None;
    }

    /// Sets the size; the processes on the terminal get SIGWINCH.
    pub(crate) fn resize(&self, size: ConsoleSize) -> Result<(), Errno> {
        pty::resize(&self.master, size)
    }

    /// Moves what can be moved. `scratch` is any buffer; nothing of it is kept.
    pub(crate) fn pump(&mut self, scratch: &mut [u8]) -> Pumped {
        let inward = match &mut self.input {
            Some(input) => input.pump(&self.master, scratch, TURN_BYTES),
            None => Flow::Blocked,
        };
        if inward == Flow::Ended {
            self.input = None;
        }
        let outward = self.output.pump(&self.master, scratch, TURN_BYTES);
        match (inward, outward) {
            (_, Flow::Ended) => Pumped::Finished,
            (Flow::Spent, _) | (_, Flow::Spent) => Pumped::More,
            _ => Pumped::Waiting,
        }
    }
}
