//! A process that runs for us: its streams are ours, its signals, its terminal, its exit code.
//!
//! ```text
//!   our stdin ──copy──▶ process ──copy──▶ our stdout, stderr
//!   our signals ──────▶   │
//!                         └─ exit ─▶ [leave it, or what it ran in, as the verb says] ─▶ drain ─▶ exit code
//! ```
//!
//! All of it is one loop around one `poll(2)` on one thread, the reading of the connection included; only what could
//! block the loop, a terminal say, has a thread of its own ([`pumps`]).
//!
//! [`archive`] is for a process that packs or unpacks files. [`join`] is the same for a process that runs already,
//! which goes on when the session ends before it ([`attach`]). [`console`] is for a serial port, behind which is no
//! process of ours.
//!
//! Output is never cut: after the process has ended, its streams are read to end-of-file. Only when another process
//! has inherited them, so that no end-of-file comes, are they given up, after a second without a byte.

pub(crate) mod archive;
mod attach;
pub(crate) mod console;
mod copy;
pub(crate) mod keys;
mod pumps;
mod stream;

use std::{
    os::fd::{AsFd as _, OwnedFd},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use hcs::{
    Attendant, ExitStatus, Failure, HResult, KeptOutput, Operation, Process, Stdio,
    documents::Signal,
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    stdio,
};

use crate::{
    client,
    clock::Clock,
    complain,
    failure::{self, Stop},
    options::process::ProcessOptions,
    signals::{self, Signals},
    terminal::{self, RawMode},
};
use keys::DetachKeys;
use pumps::Pumps;

/// How long a service may take to kill what has to go; one that does not even react is not waited for.
const KILL: Duration = Duration::from_secs(1);

/// The signal of a terminal that is gone.
const SIGHUP: u8 = 1;

/// The signal that kills.
const SIGKILL: u8 = 9;

/// How a session is set up.
#[derive(Clone, Debug)]
pub(crate) struct Manner {
    /// Our standard input is passed on.
    interactive: bool,
    /// The process has a terminal.
    tty: bool,
    /// When the process is killed.
    clock: Clock,
    /// What that is then called.
    what: String,
    /// The process runs without us, too.
    joined: bool,
}

/// A process that runs already, and its streams.
#[derive(Debug)]
pub(crate) struct Joined {
    pub process: Process,
    pub output: KeptOutput,
    /// Where our input goes, if it goes anywhere.
    pub input: Option<OwnedFd>,
    /// It has a terminal.
    pub terminal: bool,
    /// What ends the session.
    pub keys: DetachKeys,
}

impl Manner {
    /// For a process of these options in the system `id`.
    pub(crate) fn new(options: &ProcessOptions, id: &str, clock: Clock) -> Self {
        Self {
            interactive: options.interactive,
            tty: options.tty,
            clock,
            what: format!("{} of {:?} in {id:?}", clock.verb(), options.program()),
            joined: false,
        }
    }
}

/// Joins our streams, signals and terminal to `process`; returns its exit code. `ended` is called when it has ended:
/// after the streams were drained in a terminal session, where the guest's agent relays them, else before.
///
/// # Errors
/// The process could not be waited for, was killed because its time was over, or its output could not be written.
/// `ended` has been called all the same.
pub(crate) fn run(
    mut process: Process,
    manner: &Manner,
    ended: impl FnOnce() -> Result<(), Failure>,
) -> Result<u8, Stop> {
    let pipes = Stdio {
        stdin: process.take_stdin(),
        stdout: process.take_stdout(),
        stderr: process.take_stderr(),
    };
    let outcome = attend(&process, pipes, manner, None);
    // Its handle ends with the connection, which ends with us: the service need not hear of it before.
    std::mem::forget(process);
    let Attended {
        exit,
        killed,
        pumps,
        raw,
    } = match outcome {
        Ok(attended) => attended,
        // The service removes what it ran in once it finds our connection closed.
        Err(stop) if stop.failure.hresult == HResult::HCS_E_OPERATION_TIMEOUT => return Err(stop),
        // Without the service it is unknown whether there will be more output.
        Err(stop) => return Err(with(stop, ended())),
    };
    let (drained, left) = if manner.tty {
        (pumps.drain(killed), ended())
    } else {
        let left = ended();
        (pumps.drain(killed), left)
    };
    drop(raw);
    if killed {
        let late = manner.clock.passed(&manner.what, "was killed");
        return Err(with(late, drained.and(left)));
    }
    drained.and(left)?;
    Ok(exit.map_or(0, client::code))
}

/// Joins our streams, signals and terminal to a process that runs already; returns its exit code, or 0 when it goes on
/// without us.
///
/// # Errors
/// The process could not be waited for, goes on when our time is over, or its output could not be written.
pub(crate) fn join(joined: Joined, id: &str, clock: Clock) -> Result<u8, Stop> {
    let Joined {
        process,
        output,
        input,
        terminal,
        keys,
    } = joined;
    let manner = Manner {
        interactive: input.is_some(),
        tty: terminal,
        clock,
        what: format!("process {} of {id:?}", process.id()),
        joined: true,
    };
    let pipes = attach::outputs(output)?;
    let detached = input.map(|input| attach::input(input, &keys)).transpose()?;
    let outcome = attend(&process, pipes, &manner, detached);
    // Its handle ends with the connection, which ends with us: the service need not hear of it before.
    std::mem::forget(process);
    let Attended {
        exit, pumps, raw, ..
    } = outcome?;
    let Some(exit) = exit else {
        drop(raw);
        complain(&format!("\nhcs: detached from {id:?}, which goes on\n"));
        return Ok(0);
    };
    let drained = pumps.drain(false);
    drop(raw);
    drained?;
    Ok(client::code(exit))
}

/// Why it stopped, and what went wrong after it.
fn with(mut stop: Stop, after: Result<(), Failure>) -> Stop {
    if let Err(after) = after {
        stop.failure = stop.failure.cause(after.message);
    }
    stop
}

/// What is left when the process has ended.
struct Attended {
    /// `None` when it goes on without us.
    exit: Option<ExitStatus>,
    /// Because its time was over.
    killed: bool,
    /// What there may still be to pass on.
    pumps: Pumps,
    raw: Option<RawMode>,
}

/// Until the process has ended, or `detached` hangs up.
fn attend(
    process: &Process,
    pipes: Stdio<Option<OwnedFd>>,
    manner: &Manner,
    detached: Option<OwnedFd>,
) -> Result<Attended, Stop> {
    let mut session = Session {
        process,
        manner,
        killed: None,
        signals: Signals::take(manner.tty)?,
        attendant: Attendant::new(process)?,
        calls: Vec::new(),
        raw: None,
        detached,
        leaves: false,
    };
    if manner.tty {
        if manner.joined {
            session.wake_screen();
        }
        // The window may have changed since its size was read.
        signals::Receiver::resize(&mut session.relay());
        if manner.interactive {
            session.raw = RawMode::enter(stdio::stdin())?;
        }
    }
    let mut pumps = Pumps::start(pipes)?;
    let exit = session.until_exit(&mut pumps)?;
    Ok(Attended {
        exit,
        killed: session.killed.is_some(),
        pumps,
        raw: session.raw,
    })
}

/// All that the loop watches beside the streams.
struct Session<'a> {
    process: &'a Process,
    manner: &'a Manner,
    /// Once its time was over: how long its end is waited for.
    killed: Option<Clock>,
    signals: Signals,
    attendant: Attendant,
    /// What was asked of the service for signals.
    calls: Vec<Operation<()>>,
    raw: Option<RawMode>,
    /// Hangs up when the keys that detach were typed.
    detached: Option<OwnedFd>,
    /// The process is to be left to itself.
    leaves: bool,
}

impl Session<'_> {
    fn until_exit(&mut self, pumps: &mut Pumps) -> Result<Option<ExitStatus>, Stop> {
        let waker = self.attendant.waker();
        let mut context = Context::from_waker(&waker);
        let mut exit = self.process.exit();
        loop {
            self.attendant.work();
            if let Poll::Ready(exit) = Pin::new(&mut exit).poll(&mut context) {
                return Ok(Some(exit?));
            }
            if self.leaves {
                return Ok(None);
            }
            self.mind_the_time()?;
            let mut silence = None;
            self.calls
                .retain_mut(|call| match Pin::new(call).poll(&mut context) {
                    Poll::Ready(Err(failure)) if is_silence(&failure) => {
                        silence = Some(failure);
                        false
                    }
                    Poll::Ready(outcome) => {
                        report(outcome);
                        false
                    }
                    Poll::Pending => true,
                });
            if let Some(silence) = silence {
                return Err(self.unknown_end(Some(silence)));
            }
            if self.attendant.rests() {
                self.sleep(pumps)?;
            }
        }
    }

    /// Kills the process when its time is over, and gives up when that does not end it.
    fn mind_the_time(&mut self) -> Result<(), Stop> {
        if self.left() != Some(Duration::ZERO) {
            return Ok(());
        }
        if self.manner.joined {
            return Err(self.manner.clock.passed(&self.manner.what, "goes on"));
        }
        if self.killed.is_some() {
            return Err(self.unknown_end(None));
        }
        let kill = self.process.signal_group(Signal::Linux(SIGKILL));
        self.calls.push(kill.deadline(KILL));
        self.killed = Some(self.manner.clock.grace());
        Ok(())
    }

    /// The process was killed as its time was over, and no answer says that it has ended.
    fn unknown_end(&self, silence: Option<Failure>) -> Stop {
        let left = "was to be killed, but its end could not be learnt";
        let mut stop = self.manner.clock.passed(&self.manner.what, left);
        if let Some(silence) = silence {
            stop.failure.hresult = silence.hresult;
            stop.failure = stop.failure.cause(silence.message);
            stop.failure.causes.extend(silence.causes);
        }
        stop
    }

    /// How long nothing has to be done about the time.
    fn left(&self) -> Option<Duration> {
        self.killed.unwrap_or(self.manner.clock).left()
    }

    /// Sleeps until something happens, and does what follows from it.
    fn sleep(&mut self, pumps: &mut Pumps) -> Result<(), Failure> {
        let input = |descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN);
        let mut polled: Vec<_> = pumps.awaits().collect();
        let streams = polled.len();
        polled.push(input(self.signals.as_fd()));
        let detached = polled.len();
        let hang_up = |end| PollFd::from_borrowed_fd(end, PollFlags::empty());
        polled.extend(self.detached.iter().map(|end| hang_up(end.as_fd())));
        polled.extend(self.attendant.descriptors().map(input));
        let limit = self.left().and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut polled, limit.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => {
                let message = "the streams of the process cannot be waited for";
                return Err(Failure::new(HResult::E_FAIL, message).because(&errno));
            }
        }
        let ready: Vec<_> = polled.iter().map(|p| !p.revents().is_empty()).collect();
        drop(polled);
        if ready[streams] {
            let mut relay = Relay {
                process: self.process,
                calls: &mut self.calls,
                raw: self.raw.as_ref(),
                leave: self.manner.joined.then_some(&mut self.leaves),
            };
            self.signals.handle(&mut relay);
        }
        self.leaves |= self.detached.is_some() && ready[detached];
        pumps.step(&ready[..streams]);
        Ok(())
    }

    fn relay(&mut self) -> Relay<'_> {
        Relay {
            process: self.process,
            calls: &mut self.calls,
            raw: self.raw.as_ref(),
            leave: None,
        }
    }

    /// Gives the terminal of the process another size for a moment, so that its program draws the screen again.
    fn wake_screen(&mut self) {
        if let Some(size) = terminal::size() {
            let other = size.rows.saturating_add(1);
            self.calls.push(self.process.resize(other, size.columns));
        }
    }
}

/// Passes signals on to the process, and to what it started: a shell that waits for a command acts on a signal only
/// when that command has ended, and one that is killed leaves it behind.
struct Relay<'a> {
    process: &'a Process,
    calls: &'a mut Vec<Operation<()>>,
    raw: Option<&'a RawMode>,
    /// For a process that runs without us, too: set when it is to be left.
    leave: Option<&'a mut bool>,
}

impl signals::Receiver for Relay<'_> {
    fn pass(&mut self, signal: u8) {
        if let Some(leave) = self.leave.as_deref_mut().filter(|_| signal == SIGHUP) {
            // Our terminal is gone, not that of the process.
            *leave = true;
            return;
        }
        let sent = self.process.signal_group(Signal::Linux(signal));
        self.calls.push(sent);
    }

    fn resize(&mut self) {
        if let Some(size) = terminal::size() {
            self.calls
                .push(self.process.resize(size.rows, size.columns));
        }
    }

    fn go_on(&mut self) {
        if let Some(raw) = self.raw {
            raw.enter_again();
        }
        self.resize();
    }

    fn give_up(&mut self) {
        if let Some(leave) = &mut self.leave {
            **leave = true;
            return;
        }
        self.pass(SIGKILL);
    }
}

/// Whether a call with a limit was ended on this side, as the service did not react.
fn is_silence(failure: &Failure) -> bool {
    failure.hresult == HResult::HCS_E_OPERATION_TIMEOUT && failure.operation.is_none()
}

/// Says what failed beside the session. A process that has just ended needs no signal any more.
fn report(outcome: Result<(), Failure>) {
    match outcome {
        Err(failure) if !client::is_gone(failure.hresult) => complain(&failure::text(&failure)),
        _ => {}
    }
}
