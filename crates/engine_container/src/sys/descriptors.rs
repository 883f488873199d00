//! Descriptors at fixed numbers: what the launcher inherits and what the agent keeps.
#![expect(unsafe_code, reason = "a descriptor known by its number only")]

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::Errno;

use super::{checked, last_errno};

/// Descriptor 0 as a thing of its own. For a process whose standard input is not one: nothing may use
/// `std::io::stdin` afterwards.
pub(crate) fn take_stdin() -> OwnedFd {
    // SAFETY: called once, at the very start of a process that was made with a socket as descriptor 0 and that never
    // uses standard input otherwise; std's `Stdin` owns nothing, it only names the number.
    unsafe { OwnedFd::from_raw_fd(0) }
}

/// Moves `descriptor` to `number`, close-on-exec. What was there is closed: the caller must own none of it.
///
/// # Errors
/// The errno of `dup3(2)`.
pub(crate) fn move_to(descriptor: OwnedFd, number: RawFd) -> Result<OwnedFd, Errno> {
    if descriptor.as_raw_fd() == number {
        return Ok(descriptor);
    }
    // SAFETY: takes numbers only.
    if unsafe { libc::dup3(descriptor.as_raw_fd(), number, libc::O_CLOEXEC) } == -1 {
        return Err(last_errno());
    }
    drop(descriptor);
    // SAFETY: dup3 has just made it, and what it replaced was closed by it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Moves `descriptor` to some free number, `lowest` or above, close-on-exec.
///
/// # Errors
/// The errno of `fcntl(2)`.
pub(crate) fn move_up(descriptor: OwnedFd, lowest: RawFd) -> Result<OwnedFd, Errno> {
    if descriptor.as_raw_fd() >= lowest {
        return Ok(descriptor);
    }
    rustix::io::fcntl_dupfd_cloexec(&descriptor, lowest)
}

/// Closes every descriptor from `first` on. The caller must own none of them in a value that is still to be dropped.
///
/// # Errors
/// The errno of `close_range(2)`.
pub(crate) fn close_from(first: u32) -> Result<(), Errno> {
    // SAFETY: takes numbers only; the caller has given up what they stood for.
    checked(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0_u32) }).map(drop)
}

/// Makes every descriptor from `first` on stay behind at the next `execve(2)`.
///
/// # Errors
/// The errno of `close_range(2)`.
pub(crate) fn close_on_exec_from(first: u32) -> Result<(), Errno> {
    // SAFETY: takes numbers only, and closes nothing now.
    checked(unsafe {
        libc::syscall(
            libc::SYS_close_range,
            first,
            u32::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    })
    .map(drop)
}
