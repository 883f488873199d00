//! Waiting for a child to become the agent.

use std::{
    fmt,
    os::fd::{BorrowedFd, OwnedFd},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::{channel, failure::StepError, sys::pidfd};

/// How long a process may take between closing its descriptors and ending.
const A_MOMENT: Timespec = Timespec {
    tv_sec: 2,
    tv_nsec: 0,
};

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

/// How far the child is.
#[derive(Debug)]
pub(crate) enum Boot {
    /// On its way; our end of its channel.
    Pending(OwnedFd),
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
) -> Result<(), BootFailure> {
    let mut boot = boot.lock().unwrap_or_else(PoisonError::into_inner);
    if let Boot::Pending(channel) = &*boot {
        let report = channel::read_report(channel, limit).map_err(BootFailure::Step)?;
        *boot = match report {
            Some(report) => match report.heard() {
                Ok(()) => Boot::Ready,
                Err(error) => Boot::Failed(BootFailure::Step(error)),
            },
            None => Boot::Failed(BootFailure::Ended(silent_death(process))),
        };
    }
    match &*boot {
        Boot::Failed(error) => Err(error.clone()),
        _ => Ok(()),
    }
}

/// How a child ended that said nothing.
fn silent_death(process: BorrowedFd<'_>) -> Ended {
    // Its descriptors were closed a moment before it ended.
    let mut events = [PollFd::new(&process, PollFlags::IN)];
    let _ended = poll(&mut events, Some(&A_MOMENT));
    pidfd::wait_status(process).map_or(Ended::Unknown, |status| {
        if libc::WIFSIGNALED(status) {
            Ended::Signal(libc::WTERMSIG(status))
        } else {
            Ended::Code(libc::WEXITSTATUS(status))
        }
    })
}
