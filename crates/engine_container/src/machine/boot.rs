//! Waiting for a child to become the agent.

use std::{
    fmt,
    os::fd::{BorrowedFd, OwnedFd},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use hcs_engine::engine::Exit;
use rustix::io::Errno;

use crate::{channel, failure::StepError, machine::agent_socket, sys::pidfd, waiting::ends_within};

/// How long a process may take between closing its descriptors and ending.
const A_MOMENT: Duration = Duration::from_secs(2);
/// How long after its end a process may be waiting for its parent to take note; the kernel tells how it ended when the
/// parent has.
const REAPING: Duration = Duration::from_millis(50);
/// How often that is looked at.
const REAPING_LOOK: Duration = Duration::from_millis(1);
/// How often it is looked whether a child listens that cannot report any more.
const LOOK: Duration = Duration::from_millis(10);

/// Why there is no agent.
#[derive(Clone, Debug)]
pub(crate) enum BootFailure {
    /// A step failed, here or in the child.
    Step(StepError),
    /// The child ended without a word.
    Ended(Ended),
}

/// How a child ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ended {
    /// By this signal.
    Signal(i32),
    /// With this exit code.
    Code(i32),
    /// The kernel does not tell (before Linux 6.15).
    Unknown,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the container's first process ended before it was ready")?;
        match self {
            Self::Signal(signal) => write!(f, ", by signal {signal}"),
            Self::Code(code) => write!(f, ", with exit code {code}"),
            Self::Unknown => Ok(()),
        }
    }
}

impl From<Ended> for Exit {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Code(code) => Self::Ended(code),
            Ended::Signal(libc::SIGKILL) => Self::Killed,
            // The kernel shields the first process of a container from all other signals, but those of its own faults.
            Ended::Signal(_) => Self::Crash,
            Ended::Unknown => Self::Unknown,
        }
    }
}

/// How far the child is.
#[derive(Debug)]
pub(crate) enum Boot {
    /// On its way; our end of its channel.
    Pending(OwnedFd),
    /// An earlier service has told it what to be, and had the channel on which it reports. Whether it listens can be
    /// seen.
    Unheard,
    /// The agent can be connected to.
    Ready,
    /// It failed.
    Failed(BootFailure),
}

/// Blocks until the child has reported or died, at most for `limit`. One caller waits at the channel, others for it.
pub(super) fn wait(
    boot: &Mutex<Boot>,
    limit: Duration,
    process: BorrowedFd<'_>,
    directory: BorrowedFd<'_>,
) -> Result<(), BootFailure> {
    let mut boot = boot.lock().unwrap_or_else(PoisonError::into_inner);
    match &*boot {
        Boot::Pending(channel) => {
            let report = channel::read_report(channel, limit).map_err(BootFailure::Step)?;
            *boot = match report {
                Some(report) => match report.heard() {
                    Ok(()) => Boot::Ready,
                    Err(error) => Boot::Failed(BootFailure::Step(error)),
                },
                None => Boot::Failed(BootFailure::Ended(how_ended(process))),
            };
        }
        Boot::Unheard => *boot = look(limit, process, directory).map_err(BootFailure::Step)?,
        Boot::Ready | Boot::Failed(_) => {}
    }
    match &*boot {
        Boot::Failed(error) => Err(error.clone()),
        _ => Ok(()),
    }
}

/// Looks until the child listens or has ended, at most for `limit`.
fn look(
    limit: Duration,
    process: BorrowedFd<'_>,
    directory: BorrowedFd<'_>,
) -> Result<Boot, StepError> {
    let deadline = Instant::now() + limit;
    while !agent_socket::is_listened_on(directory)? {
        if ends_within(process, LOOK) {
            return Ok(Boot::Failed(BootFailure::Ended(how_ended(process))));
        }
        if Instant::now() >= deadline {
            return Err(StepError::new("waiting for a child", Errno::TIMEDOUT));
        }
    }
    Ok(Boot::Ready)
}

/// How a child ended that said nothing.
pub(super) fn how_ended(process: BorrowedFd<'_>) -> Ended {
    // Its descriptors were closed a moment before it ended.
    let _ended = ends_within(process, A_MOMENT);
    let deadline = Instant::now() + REAPING;
    loop {
        match pidfd::wait_status(process) {
            Some(status) if libc::WIFSIGNALED(status) => {
                return Ended::Signal(libc::WTERMSIG(status));
            }
            Some(status) => return Ended::Code(libc::WEXITSTATUS(status)),
            None if Instant::now() >= deadline => return Ended::Unknown,
            None => std::thread::sleep(REAPING_LOOK),
        }
    }
}
