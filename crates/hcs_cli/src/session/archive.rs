//! A process that packs or unpacks files inside, and the work with its stream on this side.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::OwnedFd,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
};

use hcs::{ExitStatus, Failure, HResult, Process, documents::ProcessParameters};
use hcs_archive::ArchiveError;

use crate::{
    client,
    clock::Clock,
    complain,
    failure::{self, FAILED, LATE, Stop},
    output::printable,
};

/// What is kept of what the process says on standard error; the rest is read and dropped.
const MOST_SAID: usize = 16 << 10;

/// The other ends of a process's standard input and output.
#[derive(Debug)]
pub(crate) struct Streams {
    input: Option<OwnedFd>,
    output: Option<OwnedFd>,
}

impl Streams {
    /// The end that the process reads from.
    ///
    /// # Errors
    /// It has none.
    pub(crate) fn input(self) -> Result<File, ArchiveError> {
        self.input.map(File::from).ok_or_else(none)
    }

    /// The end that the process writes to.
    ///
    /// # Errors
    /// It has none.
    pub(crate) fn output(self) -> Result<File, ArchiveError> {
        self.output.map(File::from).ok_or_else(none)
    }
}

fn none() -> ArchiveError {
    ArchiveError::Refused("the process came without its streams".to_owned())
}

/// Starts the process in the container `id`, does `work` with its streams, and waits for its end.
///
/// # Errors
/// What went wrong first on either side.
pub(crate) fn run(
    id: &str,
    parameters: &ProcessParameters,
    clock: Clock,
    work: impl FnOnce(Streams) -> Result<(), ArchiveError>,
) -> Result<(), Stop> {
    let joined = client::join(id, parameters, clock);
    let (system, mut process) = joined.map_err(|stop| Stop {
        // There is no command that could be missing.
        code: if stop.code == LATE { LATE } else { FAILED },
        ..stop
    })?;
    std::mem::forget(system);
    let streams = Streams {
        input: process.take_stdin(),
        output: process.take_stdout(),
    };
    let errors = process.take_stderr().map(File::from);
    let process = &process;
    thread::scope(|scope| {
        let (done, watched) = mpsc::channel::<()>();
        if let Some(left) = clock.left() {
            scope.spawn(move || {
                if watched.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
                    give_up(process, clock);
                }
            });
        }
        let said = scope.spawn(move || errors.map(read_said).unwrap_or_default());
        let worked = work(streams);
        let said = said.join().unwrap_or_default();
        let ended = process.exit().wait();
        drop(done);
        judge(id, worked, &ended?, &said)
    })
}

/// Ends both sides: the work of this one may be waiting for a reader or writer, so only the end of the program ends it.
fn give_up(process: &Process, clock: Clock) {
    let _ended_by_itself = clock.grace().on(process.terminate()).wait();
    complain(&failure::text(
        &clock.passed("the copy", "was stopped").failure,
    ));
    std::process::exit(LATE.into());
}

/// Reads all that the process says; keeps the first of it.
fn read_said(mut errors: File) -> String {
    let mut kept = Vec::new();
    let _what_came_is_shown = (&mut errors).take(MOST_SAID as u64).read_to_end(&mut kept);
    let _until_it_ends = io::copy(&mut errors, &mut io::sink());
    String::from_utf8_lossy(&kept).into_owned()
}

/// What became of a copy: `worked` is this side, the rest the other.
fn judge(
    id: &str,
    worked: Result<(), ArchiveError>,
    ended: &ExitStatus,
    said: &str,
) -> Result<(), Stop> {
    let mut lines: Vec<&str> = said.lines().collect();
    let failed = ended.code != 0;
    let reason = if failed { lines.pop() } else { None };
    for line in lines {
        complain(&format!("hcs: in {}: {}\n", printable(id), printable(line)));
    }
    let own = match worked {
        Ok(()) => None,
        // The other side has a reason.
        Err(error) if error.other_side_ended() && failed => None,
        // It has all that it wanted.
        Err(error) if error.other_side_ended() && is_written(&error) => None,
        Err(error) => Some(error),
    };
    if let Some(error) = own {
        let failure = Failure::new(HResult::E_FAIL, error.to_string());
        return Err(Stop::from(failure));
    }
    if !failed {
        return Ok(());
    }
    let message = match reason {
        Some(reason) => format!("in {id:?}: {reason}"),
        None => format!(
            "the process that copies in {id:?} was ended, with exit code {}",
            ended.code
        ),
    };
    Err(Failure::new(HResult::E_FAIL, message).into())
}

const fn is_written(error: &ArchiveError) -> bool {
    matches!(error, ArchiveError::Stream { .. })
}
