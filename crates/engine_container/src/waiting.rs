//! Whether a process is gone, by its pidfd.

use std::{os::fd::BorrowedFd, time::Duration};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Whether a descriptor is readable now: a readable pidfd means that the process has ended.
pub(crate) fn is_readable(descriptor: BorrowedFd<'_>) -> bool {
    ends_within(descriptor, Duration::ZERO)
}

/// Waits until the process of a descriptor is gone, at most for `limit`; whether it is.
pub(crate) fn ends_within(process: BorrowedFd<'_>, limit: Duration) -> bool {
    let mut events = [PollFd::new(&process, PollFlags::IN)];
    let limit = Timespec::try_from(limit).ok();
    poll(&mut events, limit.as_ref()).is_ok_and(|ready| ready > 0)
}
