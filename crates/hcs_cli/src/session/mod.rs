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
//! Output is never cut: after the process has ended, its streams are read to end-of-file. Only when another process
//! has inherited them, so that no end-of-file comes, are they given up, after a second without a byte.

mod copy;
mod pumps;
mod stream;

use std::{
    os::fd::AsFd as _,
    pin::Pin,
    task::{Context, Poll},
};

use hcs::{Attendant, Failure, HResult, Operation, Process, documents::Signal};
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    stdio,
};

use crate::{
    client, complain, failure,
    signals::{self, Signals},
    terminal::{self, RawMode},
};
use pumps::{Pipes, Pumps};

/// How a session is set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// Our standard input is passed on.
    pub interactive: bool,
    /// The process has a terminal.
    pub tty: bool,
}

/// Joins our streams, signals and terminal to `process`; returns its exit code. `ended` is called when it has ended:
/// after the streams were drained in a terminal session, where the guest's agent relays them, else before.
///
/// # Errors
/// The process could not be waited for, or its output not be written. `ended` has been called all the same.
pub(crate) fn run(
    mut process: Process,
    manner: Manner,
    ended: impl FnOnce() -> Result<(), Failure>,
) -> Result<u8, Failure> {
    let pipes = Pipes {
        stdin: process.take_stdin(),
        stdout: process.take_stdout(),
        stderr: process.take_stderr(),
    };
    let outcome = attend(&process, pipes, manner);
    // Its handle ends with the connection, which ends with us: the service need not hear of it before.
    std::mem::forget(process);
    let (code, pumps, raw) = match outcome {
        Ok(attended) => attended,
        // Without the service nobody knows whether there will be more output.
        Err(failure) => return Err(with(failure, ended())),
    };
    let (drained, left) = if manner.tty {
        (pumps.drain(), ended())
    } else {
        let left = ended();
        (pumps.drain(), left)
    };
    drop(raw);
    drained.and(left).map(|()| code)
}

/// `failure`, and what went wrong after it.
fn with(failure: Failure, after: Result<(), Failure>) -> Failure {
    match after {
        Ok(()) => failure,
        Err(after) => failure.cause(after.message),
    }
}

/// Until the process has ended: its exit code, and what there may still be to pass on.
fn attend(
    process: &Process,
    pipes: Pipes,
    manner: Manner,
) -> Result<(u8, Pumps, Option<RawMode>), Failure> {
    let mut session = Session {
        process,
        signals: Signals::take(manner.tty)?,
        attendant: Attendant::new(process)?,
        calls: Vec::new(),
    };
    if manner.tty {
        // The window may have changed since its size was read.
        signals::Receiver::resize(&mut session.relay());
    }
    let raw = if manner.tty && manner.interactive {
        RawMode::enter(stdio::stdin())?
    } else {
        None
    };
    let mut pumps = Pumps::start(pipes)?;
    let code = session.until_exit(&mut pumps)?;
    Ok((code, pumps, raw))
}

/// All that the loop watches beside the streams.
struct Session<'a> {
    process: &'a Process,
    signals: Signals,
    attendant: Attendant,
    /// What was asked of the service for signals.
    calls: Vec<Operation<()>>,
}

impl Session<'_> {
    fn until_exit(&mut self, pumps: &mut Pumps) -> Result<u8, Failure> {
        let waker = self.attendant.waker();
        let mut context = Context::from_waker(&waker);
        let mut exit = self.process.exit();
        loop {
            self.attendant.work();
            if let Poll::Ready(exit) = Pin::new(&mut exit).poll(&mut context) {
                return exit.map(client::code);
            }
            self.calls
                .retain_mut(|call| match Pin::new(call).poll(&mut context) {
                    Poll::Ready(outcome) => {
                        report(outcome);
                        false
                    }
                    Poll::Pending => true,
                });
            if self.attendant.rests() {
                self.sleep(pumps)?;
            }
        }
    }

    /// Sleeps until something happens, and does what follows from it.
    fn sleep(&mut self, pumps: &mut Pumps) -> Result<(), Failure> {
        let input = |descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN);
        let mut polled: Vec<_> = pumps.awaits().collect();
        let streams = polled.len();
        polled.push(input(self.signals.as_fd()));
        polled.extend(self.attendant.descriptors().map(input));
        match poll(&mut polled, None) {
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
            };
            self.signals.handle(&mut relay);
        }
        pumps.step(&ready[..streams]);
        Ok(())
    }

    fn relay(&mut self) -> Relay<'_> {
        Relay {
            process: self.process,
            calls: &mut self.calls,
        }
    }
}

/// Passes signals on to the process.
struct Relay<'a> {
    process: &'a Process,
    calls: &'a mut Vec<Operation<()>>,
}

impl signals::Receiver for Relay<'_> {
    fn pass(&mut self, signal: u8) {
        self.calls.push(self.process.signal(Signal::Linux(signal)));
    }

    fn resize(&mut self) {
        if let Some(size) = terminal::size() {
            self.calls
                .push(self.process.resize(size.rows, size.columns));
        }
    }

    fn give_up(&mut self) {
        self.calls.push(self.process.terminate());
    }
}

/// Says what failed beside the session. A process that has just ended needs no signal any more.
fn report(outcome: Result<(), Failure>) {
    match outcome {
        Err(failure) if !client::is_gone(failure.hresult) => complain(&failure::text(&failure)),
        _ => {}
    }
}
