//! One reader of kept output: a pipe of its own, and how far it is.
//!
//! Nothing waits for it: what it does not take stays in the log until that is rotated away, and it is told then how
//! much it has missed. It holds one record at most.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hcs_wire::output::{Header, Kind, OutputQuery};

use super::{
    log::{Log, Next},
    rotation::{Cursor, Place, after_lines},
};
use crate::relay::{Flow, Pending, is_gone};

/// How the process is that has the output.
#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    /// Its exit code, once it has exited and what it had written by then is in the log.
    pub(super) exit: Option<u32>,
    /// Nothing will be written any more.
    pub(super) complete: bool,
    /// Now.
    pub(super) time: u64,
}

/// A reader.
#[derive(Debug)]
pub(super) struct Reader {
    /// Non-blocking.
    pipe: OwnedFd,
    cursor: Cursor,
    /// Ends of lines before the first line that is wanted.
    lines_before: u64,
    /// Nothing older is wanted.
    since: u64,
    /// Where it ends; `None` where it follows.
    until: Option<Place>,
    /// Only the exit is wanted.
    exit_only: bool,
    told_exit: bool,
    /// Bytes of a record that the pipe has not taken.
    pending: Pending,
}

impl Reader {
    /// Reads `log` as asked into `pipe`, which is non-blocking.
    pub(super) fn new(pipe: OwnedFd, query: &OutputQuery, log: &Log) -> Self {
        let (cursor, lines_before) = log.begin(query.tail);
        Self {
            pipe,
            cursor,
            lines_before,
            since: query.since.unwrap_or(0),
            until: (!query.follow).then(|| log.end()),
            exit_only: query.exit_only,
            told_exit: false,
            pending: Pending::new(),
        }
    }

    /// Its pipe; it reads no more.
    pub(super) fn into_pipe(self) -> OwnedFd {
        self.pipe
    }

    /// Passes on what the pipe takes, up to about `budget` bytes. [`Flow::Ended`] means that the reader is gone, or has
    /// all.
    pub(super) fn pump(&mut self, log: &Log, state: State, budget: usize) -> Flow {
        let mut moved = 0;
        let mut buffer = Vec::new();
        loop {
            if let Some(flow) = self.pending.write_to(&self.pipe) {
                return flow;
            }
            if moved >= budget {
                return Flow::Spent;
            }
            let at_end = self.until.is_some_and(|until| self.cursor.place >= until);
            let next = match at_end || self.exit_only {
                true => Next::End,
                false => {
                    let line = self.cursor.line;
                    let next = log.next(&mut self.cursor, &mut buffer);
                    if let Next::Record(header) = &next {
                        moved += buffer.len();
                        self.show(*header, &buffer, line);
                        continue;
                    }
                    next
                }
            };
            match (next, state.exit) {
                (Next::Lost(count), _) => {
                    self.push(Kind::Lost, state.time, &count.to_le_bytes());
                }
                (_, Some(code)) if !self.told_exit => {
                    self.told_exit = true;
                    self.push(Kind::Exit, state.time, &code.to_le_bytes());
                }
                _ if self.is_over(state) || is_gone(&self.pipe) => return Flow::Ended,
                _ => return Flow::Blocked,
            }
        }
    }

    /// Whether nothing more is to come.
    const fn is_over(&self, state: State) -> bool {
        self.until.is_some() || state.complete || (self.exit_only && self.told_exit)
    }

    /// Puts what is wanted of a record into what is pending; `line` ends of lines are before it.
    fn show(&mut self, header: Header, content: &[u8], line: u64) {
        let skipped = self.lines_before.saturating_sub(line);
        let Some(begin) = after_lines(content, skipped) else {
            return;
        };
        if header.time < self.since || begin == content.len() {
            return;
        }
        // What was wanted once is wanted from then on, even if the clock is set back.
        self.since = 0;
        self.push(header.kind, header.time, &content[begin..]);
    }

    /// Puts a record into what is pending.
    pub(super) fn push(&mut self, kind: Kind, time: u64, content: &[u8]) {
        let length = content.len();
        let header = Header { kind, length, time };
        self.pending.push(&header.to_bytes());
        self.pending.push(content);
    }
}

impl AsFd for Reader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}
