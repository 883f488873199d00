//! Memory of a guest that the kernel must not take away.
#![expect(unsafe_code, reason = "mmap(2) and mlock(2) by address")]

use std::{
    io,
    os::fd::{AsRawFd as _, BorrowedFd},
    ptr,
};

/// Takes the first `length` bytes of a file in memory from the host now, and keeps them until this process ends. No
/// byte of it is read by that.
///
/// # Errors
/// That of `mmap(2)` or `mlock(2)`: `ENOMEM` or `EPERM` where the process may not lock as much.
pub(crate) fn hold(file: BorrowedFd<'_>, length: usize) -> io::Result<()> {
    // SAFETY: the kernel chooses a new address, and no reference is ever made to what is there.
    let mapped = unsafe {
        libc::mmap(
            ptr::null_mut(),
            length,
            libc::PROT_READ,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            0,
        )
    };
    if mapped == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is the mapping of that length, which stays until the process ends.
    match unsafe { libc::mlock(mapped, length) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
