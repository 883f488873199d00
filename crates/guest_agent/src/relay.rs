//! Bytes on their way from one descriptor to another, of which the other takes what it has room for.

use std::os::fd::AsFd;

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    time::Timespec,
};

/// What one direction has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// It waits for a descriptor.
    Blocked,
    /// The budget was used up.
    Spent,
    /// It is over.
    Ended,
}

/// What was read and not yet taken. Holds no memory while nothing is.
#[derive(Debug)]
pub(crate) struct Pending {
    bytes: Vec<u8>,
    taken: usize,
}

impl Pending {
    pub(crate) const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            taken: 0,
        }
    }

    /// Adds `bytes` after what is there.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Writes what is there; `None` when all of it is written.
    pub(crate) fn write_to(&mut self, to: impl AsFd) -> Option<Flow> {
        let flow = write(to, &self.bytes, &mut self.taken);
        if flow.is_none() {
            *self = Self::new();
        }
        flow
    }
}

/// Whether no process has the other end of a pipe or stream any more.
pub(crate) fn is_gone(end: &impl AsFd) -> bool {
    let mut polled = [PollFd::new(end, PollFlags::empty())];
    matches!(poll(&mut polled, Some(&Timespec::default())), Ok(1..))
}

/// Writes `bytes` from `taken` on and moves `taken`; `None` when all is written.
pub(crate) fn write(to: impl AsFd, bytes: &[u8], taken: &mut usize) -> Option<Flow> {
    while *taken < bytes.len() {
        match rustix::io::write(&to, &bytes[*taken..]) {
            Ok(count) => *taken += count,
            Err(Errno::AGAIN) => return Some(Flow::Blocked),
            Err(Errno::INTR) => {}
            Err(_) => return Some(Flow::Ended),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use rustix::pipe::{PipeFlags, pipe_with};

    use super::*;

    #[test]
    fn what_is_not_taken_waits_in_order() {
        let (read, write) = pipe_with(PipeFlags::NONBLOCK).unwrap();
        let mut pending = Pending::new();
        assert_eq!(pending.write_to(&write), None);
        let much: Vec<u8> = (0..=u8::MAX).cycle().take(1 << 20).collect();
        pending.push(&much[..10]);
        pending.push(&much[10..]);
        let mut received = Vec::new();
        let mut buffer = vec![0; 1 << 16];
        while pending.write_to(&write) == Some(Flow::Blocked) {
            let count = rustix::io::read(&read, &mut buffer).unwrap();
            received.extend_from_slice(&buffer[..count]);
        }
        while let Ok(count @ 1..) = rustix::io::read(&read, &mut buffer) {
            received.extend_from_slice(&buffer[..count]);
        }
        assert!(received == much && pending.bytes.capacity() == 0);
        drop(read);
        pending.push(b"x");
        assert_eq!(pending.write_to(&write), Some(Flow::Ended));
    }
}
