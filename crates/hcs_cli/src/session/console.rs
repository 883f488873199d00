//! Our terminal and a serial port: bytes both ways, in one loop, until the machine ends or we leave.

use std::{
    collections::VecDeque,
    os::{fd::AsFd as _, unix::net::UnixStream},
    time::Duration,
};

use hcs::{Failure, HResult};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{Errno, read, write},
    net::{SendFlags, Shutdown, send, shutdown},
    stdio, termios,
};

use super::keys::{DetachKeys, Detector};
use crate::{
    signals::{self, Signals},
    terminal::RawMode,
};

/// Bytes that are passed on at once. A terminal takes them whole.
const CHUNK: usize = 512;
/// How much of what is typed waits for the guest; more is left where it is.
const WAITING: usize = 4096;

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The machine has ended.
    Machine,
    /// The keys that detach were typed, or a signal came: the machine goes on.
    Left,
    /// The time is over.
    Late,
}

/// Connects our streams with `port`. Nothing is passed on of our standard input without `keys`; `left` says how much of
/// the time is left.
///
/// # Errors
/// Our streams cannot be used.
pub(crate) fn run(
    port: &UnixStream,
    keys: Option<&DetachKeys>,
    left: impl Fn() -> Option<Duration>,
) -> Result<End, Failure> {
    let signals = Signals::take(true)?;
    let raw = keys.map(|_| RawMode::enter(stdio::stdin())).transpose()?;
    let is_terminal = termios::isatty(stdio::stdin());
    let mut session = Session {
        port,
        leaver: Leaver {
            raw: raw.flatten(),
            leaves: false,
        },
        signals,
        // What comes from elsewhere may have any bytes.
        detector: keys.filter(|_| is_terminal).map(Detector::new),
        reads: keys.is_some(),
        typed: VecDeque::new(),
        shown: VecDeque::new(),
        has_ended: false,
    };
    loop {
        if session.leaver.leaves {
            return Ok(End::Left);
        }
        if session.has_ended && session.shown.is_empty() {
            return Ok(End::Machine);
        }
        let left = left();
        if left == Some(Duration::ZERO) {
            return Ok(End::Late);
        }
        session.step(left)?;
    }
}

struct Session<'a> {
    port: &'a UnixStream,
    leaver: Leaver,
    signals: Signals,
    detector: Option<Detector>,
    /// Whether our standard input may still give something.
    reads: bool,
    /// For the guest.
    typed: VecDeque<u8>,
    /// For us.
    shown: VecDeque<u8>,
    /// The port is closed.
    has_ended: bool,
}

impl Session<'_> {
    /// Waits until something can be done, and does it.
    fn step(&mut self, left: Option<Duration>) -> Result<(), Failure> {
        let flags = |wanted: bool, flag: PollFlags| match wanted {
            true => flag,
            false => PollFlags::empty(),
        };
        let port = flags(!self.typed.is_empty() && !self.has_ended, PollFlags::OUT)
            | flags(self.shown.is_empty() && !self.has_ended, PollFlags::IN);
        let keys = flags(self.reads && self.typed.len() < WAITING, PollFlags::IN);
        let screen = flags(!self.shown.is_empty(), PollFlags::OUT);
        let mut polled = vec![PollFd::new(&self.signals, PollFlags::IN)];
        let all = [
            (self.port.as_fd(), port),
            (stdio::stdin(), keys),
            (stdio::stdout(), screen),
        ];
        // A descriptor polled for nothing is ready when its other end is closed.
        let wanted = all.iter().filter(|(_, flags)| !flags.is_empty());
        polled.extend(wanted.map(|(it, flags)| PollFd::from_borrowed_fd(*it, *flags)));
        let limit = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut polled, limit.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(failed("waited for", errno)),
        }
        let ready: Vec<PollFlags> = polled.iter().map(PollFd::revents).collect();
        drop(polled);
        if !ready[0].is_empty() {
            self.signals.handle(&mut self.leaver);
        }
        let mut rest = ready[1..].iter();
        let mut is_ready = |flags: PollFlags| match flags.is_empty() {
            true => PollFlags::empty(),
            false => rest.next().copied().unwrap_or(PollFlags::empty()),
        };
        let [port, keys, screen] = [is_ready(port), is_ready(keys), is_ready(screen)];
        if !port.is_empty() {
            self.use_port();
        }
        if !keys.is_empty() {
            self.read_keys()?;
        }
        match screen.is_empty() {
            true => Ok(()),
            false => self.show(),
        }
    }

    /// Reads and writes what the port has and takes now.
    fn use_port(&mut self) {
        let mut bytes = [0; CHUNK];
        if self.shown.is_empty() {
            match rustix::net::recv(self.port, &mut bytes, rustix::net::RecvFlags::DONTWAIT) {
                Ok((0, _)) => self.has_ended = true,
                Ok((count, _)) => self.shown.extend(&bytes[..count]),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => self.has_ended = true,
            }
        }
        let (first, _) = self.typed.as_slices();
        match send(self.port, first, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(count) => drop(self.typed.drain(..count)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            // The end is read in its turn.
            Err(_) => self.typed.clear(),
        }
        self.end_input();
    }

    fn read_keys(&mut self) -> Result<(), Failure> {
        let mut bytes = [0; CHUNK];
        let count = match read(stdio::stdin(), &mut bytes) {
            Err(Errno::INTR | Errno::AGAIN) => return Ok(()),
            // A terminal that has hung up.
            Err(Errno::IO) => 0,
            other => other.map_err(|errno| failed("read", errno))?,
        };
        if count == 0 {
            self.reads = false;
            let held = self.detector.as_mut().map(Detector::end);
            self.typed.extend(held.unwrap_or_default());
            self.end_input();
            return Ok(());
        }
        match &mut self.detector {
            Some(detector) => {
                let mut passed = Vec::with_capacity(count);
                self.leaver.leaves |= detector.feed(&bytes[..count], &mut passed);
                self.typed.extend(passed);
            }
            None => self.typed.extend(&bytes[..count]),
        }
        Ok(())
    }

    /// Tells the port that nothing more is typed, behind what was.
    fn end_input(&self) {
        if !self.reads && self.typed.is_empty() {
            let _ended_already = shutdown(self.port, Shutdown::Write);
        }
    }

    fn show(&mut self) -> Result<(), Failure> {
        let (first, _) = self.shown.as_slices();
        match write(stdio::stdout(), first) {
            Ok(count) => drop(self.shown.drain(..count)),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(errno) => return Err(failed("written", errno)),
        }
        Ok(())
    }
}

fn failed(what: &str, errno: Errno) -> Failure {
    let message = format!("the streams of the console cannot be {what}");
    Failure::new(HResult::E_FAIL, message).because(&errno)
}

/// Signals end the session, as no process of the guest is ours.
struct Leaver {
    raw: Option<RawMode>,
    leaves: bool,
}

impl signals::Receiver for Leaver {
    fn pass(&mut self, _signal: u8) {
        self.leaves = true;
    }

    fn resize(&mut self) {
        // A serial port has no size.
    }

    fn go_on(&mut self) {
        if let Some(raw) = &self.raw {
            raw.enter_again();
        }
    }

    fn give_up(&mut self) {
        self.leaves = true;
    }
}
