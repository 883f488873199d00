//! A process that runs for us: its streams are ours, its signals, its terminal, its exit code.
//!
//! ```text
//!   our stdin ──copy──▶ process ──copy──▶ our stdout, stderr
//!   our signals ──────▶   │
//!                         └─ exit ─▶ [leave it, or what it ran in, as the verb says] ─▶ drain ─▶ exit code
//! ```
//!
//! Output is never cut: after the process has ended, its streams are read to end-of-file. Only when another process
//! has inherited them, so that no end-of-file comes, are they given up, after [`GRACE`] without a byte.

mod copy;

use std::{
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use hcs::{Failure, HResult, Process, documents::Signal};
use rustix::stdio;

use crate::{
    client, complain, failure,
    output::cannot_write,
    signals,
    terminal::{self, RawMode},
};
use copy::{End, Ending};

/// How long streams may be silent after the process that we started has ended.
const GRACE: Duration = Duration::from_secs(1);

/// How a session is set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// Our standard input is passed on.
    pub interactive: bool,
    /// The process has a terminal.
    pub tty: bool,
}

/// The pipes of the process.
#[derive(Debug)]
struct Streams {
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
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
    let streams = Streams {
        stdin: process.take_stdin(),
        stdout: process.take_stdout(),
        stderr: process.take_stderr(),
    };
    let process = Arc::new(process);
    let (raw, pumps) = match attend(&process, streams, manner) {
        Ok(attended) => attended,
        Err(failure) => return Err(with(failure, ended())),
    };
    let code = match client::wait(&process) {
        Ok(code) => code,
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

fn attend(
    process: &Arc<Process>,
    streams: Streams,
    manner: Manner,
) -> Result<(Option<RawMode>, Pumps), Failure> {
    signals::forward(manner.tty, Relay(Arc::clone(process)))?;
    let raw = if manner.tty && manner.interactive {
        RawMode::enter(stdio::stdin())?
    } else {
        None
    };
    Ok((raw, Pumps::start(streams)?))
}

/// Passes signals on to the process.
#[derive(Debug)]
struct Relay(Arc<Process>);

impl signals::Receiver for Relay {
    fn pass(&mut self, signal: u8) {
        report(self.0.signal(Signal::Linux(signal)).wait());
    }

    fn resize(&mut self) {
        if let Some(size) = terminal::size() {
            report(self.0.resize(size.rows, size.columns).wait());
        }
    }

    fn give_up(&mut self) {
        report(self.0.terminate().wait());
    }
}

/// Says what failed beside the session. A process that has just ended needs no signal any more.
fn report(outcome: Result<(), Failure>) {
    match outcome {
        Err(failure) if !client::is_gone(failure.hresult) => complain(&failure::text(&failure)),
        _ => {}
    }
}

/// The threads that copy.
#[derive(Debug)]
struct Pumps {
    outputs: Vec<JoinHandle<io::Result<End>>>,
    /// Dropped when the process has ended.
    running: OwnedFd,
}

impl Pumps {
    fn start(streams: Streams) -> Result<Self, Failure> {
        Self::threads(streams).map_err(|error| {
            Failure::new(
                HResult::E_FAIL,
                "the streams of the process cannot be passed on",
            )
            .because(&error)
        })
    }

    fn threads(streams: Streams) -> io::Result<Self> {
        let (ended, running) = copy::hang_up()?;
        let ended = Arc::new(ended);
        if let Some(stdin) = streams.stdin {
            // Not waited for: it may be waiting for a key. When our input ends, so does that of the process.
            thread::Builder::new()
                .name("stdin".to_owned())
                .spawn(move || copy::copy(stdio::stdin(), stdin.as_fd(), None))?;
        }
        let outputs = [
            ("stdout", streams.stdout, stdio::stdout()),
            ("stderr", streams.stderr, stdio::stderr()),
        ];
        let outputs = outputs
            .into_iter()
            .filter_map(|(name, from, to)| Some((name, from?, to)))
            .map(|(name, from, to)| output(name, from, to, Arc::clone(&ended)))
            .collect::<io::Result<_>>()?;
        Ok(Self { outputs, running })
    }

    /// Waits until all output has been written.
    fn drain(self) -> Result<(), Failure> {
        drop(self.running);
        let mut outcome = Ok(());
        for thread in self.outputs {
            let copied = thread
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("the thread that copied it panicked")));
            if let Err(error) = copied {
                outcome = Err(cannot_write(&error));
            }
        }
        outcome
    }
}

/// Starts to copy one output stream. When our reader goes away the pipe is closed, and the process learns it the way
/// it would without us.
fn output(
    name: &str,
    from: OwnedFd,
    to: BorrowedFd<'static>,
    ended: Arc<OwnedFd>,
) -> io::Result<JoinHandle<io::Result<End>>> {
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        let ending = Ending {
            ended: ended.as_fd(),
            grace: GRACE,
        };
        copy::copy(from.as_fd(), to, Some(ending))
    })
}
