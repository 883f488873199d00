//! Pipes of processes, relayed to streams of the host that are no pipes: sockets that a link has dialled.
//!
//! A process must have pipes: `/dev/stdout` of a socket cannot be opened again, and some programs behave differently on
//! a socket. The ends are passed on in both directions. A relay outlives the process that it was made for, as a pipe
//! does: it ends with the last process that has the other end of the pipe open, or with the stream.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
};

use hcs_schema::Stdio;
use rustix::{
    fs::{OFlags, fcntl_setfl},
    io::{Errno, ioctl_fionbio},
    pipe::{PipeFlags, fcntl_setpipe_size, pipe_with},
};

use crate::relay::{self, Flow, Pending, is_gone};

/// Relays are numbered from here.
pub(crate) const FIRST: u64 = 1 << 48;
/// The most bytes that a relay moves in a row before others get their turn, and what a pipe holds at first.
const TURN_BYTES: usize = 64 << 10;
/// The same for a relay that has used up a turn. The fewer turns its process and the agent take, the better: each is a
/// change of the address space, which is dear for a machine that is translated. The host takes as much of a stream
/// before it has to say that there is room again.
const WIDE_BYTES: usize = 256 << 10;

/// One direction of one stream; both ends are non-blocking.
#[derive(Debug)]
struct Relay {
    from: OwnedFd,
    to: OwnedFd,
    /// Whether `from` is the pipe, and not `to`.
    is_output: bool,
    /// Read, not yet taken. Empty while the receiver keeps up.
    pending: Pending,
    /// A buffer of its own, of [`WIDE_BYTES`], once it has moved much; empty until then.
    own: Vec<u8>,
    /// What of that is not yet taken.
    kept: Range<usize>,
    /// Nothing more comes.
    ended: bool,
}

impl Relay {
    fn new(from: OwnedFd, to: OwnedFd, is_output: bool) -> Self {
        Self {
            from,
            to,
            is_output,
            pending: Pending::new(),
            own: Vec::new(),
            kept: 0..0,
            ended: false,
        }
    }

    /// Moves up to about [`TURN_BYTES`] or [`WIDE_BYTES`] bytes. [`Flow::Ended`] means that all is delivered, or that
    /// no process reads it.
    fn pump(&mut self, scratch: &mut [u8]) -> Flow {
        let mut moved = 0;
        loop {
            if let Some(flow) = self.deliver_kept() {
                return flow;
            }
            if self.ended {
                return Flow::Ended;
            }
            if moved >= TURN_BYTES.max(self.own.len()) {
                self.widen();
                return Flow::Spent;
            }
            let has_own = !self.own.is_empty();
            let buffer = if has_own {
                &mut self.own
            } else {
                &mut *scratch
            };
            match rustix::io::read(&self.from, buffer) {
                Ok(0) => self.ended = true,
                Ok(count) => {
                    moved += count;
                    if has_own {
                        self.kept = 0..count;
                    } else if let Some(flow) = self.deliver(&scratch[..count]) {
                        return flow;
                    }
                }
                Err(Errno::AGAIN) if is_gone(&self.to) => return Flow::Ended,
                Err(Errno::AGAIN) => {
                    // Nothing is kept, and a stream that rests needs no buffer.
                    (self.own, self.kept) = (Vec::new(), 0..0);
                    return Flow::Blocked;
                }
                Err(Errno::INTR) => {}
                Err(_) => self.ended = true,
            }
        }
    }

    /// Makes the pipe wide, and the buffer. A system whose pipes may not hold as much keeps that one as it is.
    fn widen(&mut self) {
        if self.own.is_empty() {
            let pipe = if self.is_output { &self.from } else { &self.to };
            let _as_it_was = fcntl_setpipe_size(pipe, WIDE_BYTES);
            self.own = vec![0; WIDE_BYTES];
        }
    }

    /// Delivers what was read before; none when there is nothing left of that.
    fn deliver_kept(&mut self) -> Option<Flow> {
        let flow = self.pending.write_to(&self.to);
        flow.or_else(|| relay::write(&self.to, &self.own[..self.kept.end], &mut self.kept.start))
    }

    /// Delivers fresh bytes, keeping what the receiver does not take.
    fn deliver(&mut self, bytes: &[u8]) -> Option<Flow> {
        let mut taken = 0;
        let flow = relay::write(&self.to, bytes, &mut taken);
        self.pending.push(&bytes[taken..]);
        flow
    }
}

/// All relays.
#[derive(Debug)]
pub(crate) struct Relays {
    all: BTreeMap<u64, Relay>,
    next: u64,
    /// Those that can move something without waiting for an event.
    runnable: BTreeSet<u64>,
}

impl Relays {
    /// None yet.
    pub(crate) const fn new() -> Self {
        Self {
            all: BTreeMap::new(),
            next: FIRST,
            runnable: BTreeSet::new(),
        }
    }

    /// Puts a pipe before each of `streams`; answers the ends for a process. `watch` has the event loop watch an end
    /// for reading and writing, edge-triggered, under a number.
    ///
    /// # Errors
    /// The errno of `pipe2(2)`, or of `watch`. Relays that are there already end by themselves.
    pub(crate) fn connect(
        &mut self,
        streams: Stdio<Option<OwnedFd>>,
        watch: impl Fn(u64, BorrowedFd<'_>) -> Result<(), Errno>,
    ) -> Result<Stdio<Option<OwnedFd>>, Errno> {
        let mut add = |relay: Relay| {
            watch(self.next, relay.from.as_fd())?;
            watch(self.next, relay.to.as_fd())?;
            self.runnable.insert(self.next);
            self.all.insert(self.next, relay);
            self.next += 1;
            Ok::<(), Errno>(())
        };
        let mut ends = Stdio::default();
        if let Some(stream) = streams.stdin {
            ioctl_fionbio(&stream, true)?;
            let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
            fcntl_setfl(&write, OFlags::NONBLOCK)?;
            add(Relay::new(stream, write, false))?;
            ends.stdin = Some(read);
        }
        let outputs = [
            (streams.stdout, &mut ends.stdout),
            (streams.stderr, &mut ends.stderr),
        ];
        for (stream, end) in outputs {
            let Some(stream) = stream else {
                continue;
            };
            ioctl_fionbio(&stream, true)?;
            let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
            fcntl_setfl(&read, OFlags::NONBLOCK)?;
            add(Relay::new(read, stream, true))?;
            *end = Some(write);
        }
        Ok(ends)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Something happened to an end of one.
    pub(crate) fn woken(&mut self, number: u64) {
        self.runnable.insert(number);
    }

    /// Looks at all of them: events may have been missed.
    pub(crate) fn wake_all(&mut self) {
        self.runnable.extend(self.all.keys());
    }

    /// Whether something can be moved at once.
    pub(crate) fn is_runnable(&self) -> bool {
        !self.runnable.is_empty()
    }

    /// Moves what can be moved. `scratch` is any buffer.
    pub(crate) fn pump(&mut self, scratch: &mut [u8]) {
        for number in std::mem::take(&mut self.runnable) {
            match self.all.get_mut(&number).map(|relay| relay.pump(scratch)) {
                Some(Flow::Ended) => drop(self.all.remove(&number)),
                Some(Flow::Spent) => drop(self.runnable.insert(number)),
                Some(Flow::Blocked) | None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        os::unix::net::UnixStream,
    };

    use rustix::pipe::fcntl_getpipe_size;

    use super::*;

    /// A relay of standard input and one of standard output; the host's streams and the process's ends.
    fn connected() -> (Relays, [UnixStream; 2], Stdio<Option<OwnedFd>>) {
        let (host_in, guest_in) = UnixStream::pair().unwrap();
        let (host_out, guest_out) = UnixStream::pair().unwrap();
        let streams = Stdio {
            stdin: Some(guest_in.into()),
            stdout: Some(guest_out.into()),
            stderr: None,
        };
        let mut relays = Relays::new();
        let ends = relays.connect(streams, |_, _| Ok(())).unwrap();
        (relays, [host_in, host_out], ends)
    }

    fn pump(relays: &mut Relays) {
        relays.wake_all();
        while relays.is_runnable() {
            relays.pump(&mut [0; 1000]);
        }
    }

    #[test]
    fn all_bytes_arrive_and_ends_are_passed_on() {
        let (mut relays, [mut host_in, host_out], ends) = connected();
        host_in.write_all(b"to the process").unwrap();
        let stdout = ends.stdout.unwrap();
        rustix::io::write(&stdout, b"from the process").unwrap();
        pump(&mut relays);
        assert_eq!(relays.len(), 2);
        drop((host_in, stdout));
        pump(&mut relays);
        assert_eq!(relays.len(), 0);
        assert_eq!(
            std::io::read_to_string(host_out).unwrap(),
            "from the process"
        );
        let stdin = std::fs::File::from(ends.stdin.unwrap());
        assert_eq!(std::io::read_to_string(stdin).unwrap(), "to the process");
    }

    #[test]
    fn what_is_not_read_is_bounded_by_the_pipe_and_lost_to_no_reader() {
        let (mut relays, [mut host_in, host_out], ends) = connected();
        host_in.set_nonblocking(true).unwrap();
        let mut sent = 0;
        let piece = [7; 5000];
        while let Ok(count) = host_in.write(&piece) {
            sent += count;
            relays.wake_all();
            relays.pump(&mut [0; 1000]);
        }
        assert!(sent < 1 << 20, "{sent} bytes were taken");
        drop((host_in, host_out));
        let stdin = ends.stdin.unwrap();
        let mut received = 0;
        let mut buffer = [0; 4096];
        loop {
            relays.wake_all();
            relays.pump(&mut [0; 1000]);
            match rustix::io::read(&stdin, &mut buffer).unwrap() {
                0 => break,
                count => received += count,
            }
        }
        assert_eq!(received, sent);
    }

    #[test]
    fn what_moves_much_gets_a_wide_pipe_and_loses_nothing() {
        let (mut relays, [host_in, mut host_out], ends) = connected();
        drop((host_in, ends.stdin));
        let stdout = ends.stdout.unwrap();
        assert_eq!(fcntl_getpipe_size(&stdout), Ok(TURN_BYTES));
        fcntl_setfl(&stdout, OFlags::NONBLOCK).unwrap();
        host_out.set_nonblocking(true).unwrap();
        let much: Vec<u8> = (0..=250).cycle().take(5 << 20).collect();
        let (mut sent, mut received, mut buffer) = (0, Vec::new(), [0; 50_000]);
        while received.len() < much.len() {
            if let Ok(count) = rustix::io::write(&stdout, &much[sent..]) {
                sent += count;
            }
            relays.wake_all();
            relays.pump(&mut [0; 10_000]);
            // The host takes less at a time than the agent moves.
            if let Ok(count) = host_out.read(&mut buffer) {
                received.extend_from_slice(&buffer[..count]);
            }
        }
        assert_eq!(fcntl_getpipe_size(&stdout), Ok(WIDE_BYTES));
        assert!(received == much);
    }

    #[test]
    fn a_side_that_goes_ends_the_other() {
        let (mut relays, [host_in, host_out], ends) = connected();
        drop(ends.stdin);
        pump(&mut relays);
        assert_eq!(relays.len(), 1, "the process has closed its input");
        drop(host_out);
        pump(&mut relays);
        assert_eq!(relays.len(), 0, "the host reads no more");
        let written = rustix::io::write(ends.stdout.as_ref().unwrap(), b"x");
        assert_eq!(written, Err(Errno::PIPE));
        drop(host_in);
    }
}
