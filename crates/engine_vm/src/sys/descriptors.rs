//! Descriptors at fixed numbers.
#![expect(unsafe_code, reason = "a descriptor known by its number only")]

use std::os::fd::{FromRawFd as _, OwnedFd};

use rustix::io::Errno;

/// Descriptor 0 as a thing of its own. For a process whose standard input is not one: nothing may use
/// `std::io::stdin` afterwards.
pub(crate) fn take_stdin() -> OwnedFd {
    // SAFETY: called once, at the very start of a process that was made with a socket as descriptor 0 and that never
    // uses standard input otherwise; std's `Stdin` owns nothing, it only names the number.
    unsafe { OwnedFd::from_raw_fd(0) }
}

/// Closes every descriptor from `first` on. The caller must own none of them in a value that is still to be dropped.
///
/// # Errors
/// The errno of `close_range(2)`.
pub(crate) fn close_from(first: u32) -> Result<(), Errno> {
    // SAFETY: takes numbers only; the caller has given up what they stood for.
    let answer = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0_u32) };
    if answer == -1 {
        let error = std::io::Error::last_os_error();
        return Err(Errno::from_io_error(&error).unwrap_or(Errno::IO));
    }
    Ok(())
}
