//! What the agent of a guest leaves with its host, which writes it down ([`hcs_wire::guest::LeftRecord`]).
//!
//! A guest has no file that outlives it, so the agent sends each line to a port of the host ([`LEFT_PORT`]). It goes on
//! when the host says that the line is written. Behind the port is no service, but a process that ends with the
//! machine.
//!
//! [`LEFT_PORT`]: hcs_wire::guest::LEFT_PORT

use std::{os::fd::OwnedFd, time::Instant};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use super::vsock::wait_until_connected;

/// The place where lines are left.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// The stream to it, which may not be connected yet, or not any more.
    stream: Option<OwnedFd>,
    /// The host has no such place, or does not answer. It is not asked again: each time might take as long.
    is_refused: bool,
}

impl Left {
    /// Whether the host may have a place.
    pub(super) const fn is_there(&self) -> bool {
        !self.is_refused
    }

    /// Begins to `dial` it, so that it is connected when there is something to leave.
    pub(super) fn prepare(&mut self, dial: impl FnOnce() -> Option<OwnedFd>) {
        if self.stream.is_none() && self.is_there() {
            self.stream = dial();
        }
    }

    /// Sends `line` and waits for the answer, until `end`. A stream of before that has broken is dialled once more.
    pub(super) fn leave(
        &mut self,
        line: &[u8],
        end: Instant,
        dial: impl FnOnce() -> Option<OwnedFd>,
    ) -> bool {
        let sent = |stream: OwnedFd| send(&stream, line, end).is_ok().then_some(stream);
        let before = self.stream.take().and_then(sent);
        self.stream = before.or_else(|| dial().and_then(sent));
        self.is_refused = self.stream.is_none();
        !self.is_refused
    }
}

/// Sends a line on a stream that does not block, and waits until it is answered.
fn send(stream: &OwnedFd, line: &[u8], end: Instant) -> Result<(), Errno> {
    wait_until_connected(stream, end)?;
    let mut rest = line;
    while !rest.is_empty() {
        match rustix::net::send(stream, rest, rustix::net::SendFlags::NOSIGNAL) {
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            Err(Errno::AGAIN) => wait(stream, PollFlags::OUT, end)?,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    loop {
        match rustix::io::read(stream, &mut [0_u8]) {
            Ok(0) => return Err(Errno::CONNRESET),
            Ok(_) => return Ok(()),
            Err(Errno::AGAIN) => wait(stream, PollFlags::IN, end)?,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

fn wait(stream: &OwnedFd, flags: PollFlags, end: Instant) -> Result<(), Errno> {
    let rest = end.saturating_duration_since(Instant::now());
    let rest = Timespec::try_from(rest).unwrap_or_default();
    match poll(&mut [PollFd::new(stream, flags)], Some(&rest)) {
        Ok(0) => Err(Errno::TIMEDOUT),
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader, Write as _},
        os::unix::net::UnixStream,
        thread,
        time::Duration,
    };

    use super::*;

    /// Far longer than anything takes.
    fn late() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    /// A host that writes down so many lines of one stream.
    fn host(lines: usize) -> (OwnedFd, thread::JoinHandle<Vec<String>>) {
        let (own, theirs) = UnixStream::pair().unwrap();
        own.set_nonblocking(true).unwrap();
        let host = thread::spawn(move || {
            let mut answers = theirs.try_clone().unwrap();
            let written = BufReader::new(theirs).lines().take(lines);
            let written = written.map(|line| {
                answers.write_all(b"\n").unwrap();
                line.unwrap()
            });
            written.collect()
        });
        (own.into(), host)
    }

    #[test]
    fn lines_are_left_on_one_stream_and_on_another_when_that_breaks() {
        let mut left = Left::default();
        let (stream, first) = host(2);
        left.prepare(|| Some(stream));
        left.prepare(|| panic!("it is dialled already"));
        // More than any buffer on the way has.
        let much = "x".repeat(1 << 20);
        let refuse = || panic!("the stream is good");
        assert!(left.leave(format!("{much}\n").as_bytes(), late(), refuse));
        assert!(left.leave(b"two\n", late(), refuse));
        assert_eq!(first.join().unwrap(), [much, "two".to_owned()]);
        let (stream, second) = host(1);
        assert!(left.leave(b"three\n", late(), || Some(stream)));
        assert_eq!(second.join().unwrap(), ["three"]);
    }

    #[test]
    fn a_host_that_does_not_answer_is_asked_once() {
        for closes in [false, true] {
            let mut left = Left::default();
            assert!(left.is_there());
            let (own, theirs) = UnixStream::pair().unwrap();
            own.set_nonblocking(true).unwrap();
            let kept = (!closes).then_some(theirs);
            assert!(!left.leave(b"one\n", Instant::now(), || Some(own.into())));
            assert!(!left.is_there());
            left.prepare(|| panic!("it is not asked again"));
            drop(kept);
        }
        let mut left = Left::default();
        assert!(!left.leave(b"one\n", late(), || None));
        assert!(!left.is_there());
    }
}
