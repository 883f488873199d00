//! Waiting for a child to become the agent.

use std::{
    os::fd::{BorrowedFd, OwnedFd},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use crate::{
    child::channel::{Report, parse_report},
    failure::{Attempt, StepError},
    sys::pidfd,
};

/// More than any report is long.
const REPORT_LIMIT: usize = 64 << 10;

/// How far the child is.
#[derive(Debug)]
pub(super) enum Boot {
    /// On its way; our end of its channel.
    Pending(OwnedFd),
    /// The agent can be connected to.
    Ready,
    /// It failed.
    Failed(StepError),
}

/// Blocks until the child has reported or died, at most for `limit`. One caller waits at the channel, others for it.
pub(super) fn wait(
    boot: &Mutex<Boot>,
    limit: Duration,
    process: BorrowedFd<'_>,
) -> Result<(), StepError> {
    let mut boot = boot.lock().unwrap_or_else(PoisonError::into_inner);
    if let Boot::Pending(channel) = &*boot {
        let text = read_to_end(channel, limit)?;
        *boot = match parse_report(&text) {
            Some(Report::Ready) => Boot::Ready,
            Some(Report::Failed(error)) => Boot::Failed(error),
            None => Boot::Failed(silent_death(process)),
        };
    }
    match &*boot {
        Boot::Failed(error) => Err(error.clone()),
        _ => Ok(()),
    }
}

/// All that comes before the child closes its end.
fn read_to_end(channel: &OwnedFd, limit: Duration) -> Result<Vec<u8>, StepError> {
    let step = "waiting for the container";
    let deadline = Instant::now() + limit;
    let mut text = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(|_| StepError::new(step, Errno::INVAL))?;
        let mut events = [PollFd::new(channel, PollFlags::IN)];
        match poll(&mut events, Some(&left)) {
            Ok(0) => return Err(StepError::new(step, Errno::TIMEDOUT)),
            Err(Errno::INTR) => continue,
            answer => answer.step(step)?,
        };
        let mut buffer = [0; 1024];
        match rustix::io::read(channel, &mut buffer) {
            // It died with a part of the specification unread.
            Ok(0) | Err(Errno::CONNRESET) => return Ok(text),
            Ok(read) => text.extend_from_slice(&buffer[..read]),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(StepError::new(step, errno)),
        }
        if text.len() > REPORT_LIMIT {
            return Err(StepError::new(step, Errno::MSGSIZE));
        }
    }
}

/// Why a child ended that said nothing.
fn silent_death(process: BorrowedFd<'_>) -> StepError {
    let how = pidfd::wait_status(process).map_or_else(
        || "for an unknown reason".to_owned(),
        |status| {
            if libc::WIFSIGNALED(status) {
                format!("by signal {}", libc::WTERMSIG(status))
            } else {
                format!("with exit code {}", libc::WEXITSTATUS(status))
            }
        },
    );
    let error = StepError::new("starting the agent, whose process ended", Errno::SRCH);
    error.at(how)
}
