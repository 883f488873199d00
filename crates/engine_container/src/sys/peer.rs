//! The process at the other end of a unix socket (`SO_PEERPIDFD`, Linux 6.5).
#![expect(unsafe_code, reason = "getsockopt that returns a descriptor")]

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::{io::Errno, process::Pid};

use super::last_errno;

/// `SO_PEERPIDFD` of `asm-generic/socket.h`.
const SO_PEERPIDFD: libc::c_int = 77;

/// A pidfd of the process that connected, or that called `listen(2)`. It names that very process, even when it has
/// ended and its number belongs to another one.
///
/// # Errors
/// `ENOPROTOOPT` before Linux 6.5; `ENODATA` for a socket without a peer; else the errno of `getsockopt(2)`.
pub(crate) fn pidfd(socket: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let mut descriptor: libc::c_int = -1;
    let mut length: libc::socklen_t = 4;
    // SAFETY: the kernel writes at most `length` bytes, which is the size of `descriptor`, and sets `length`.
    let answer = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_PEERPIDFD,
            (&raw mut descriptor).cast(),
            &raw mut length,
        )
    };
    if answer != 0 {
        return Err(last_errno());
    }
    // SAFETY: the kernel has just made this descriptor (close-on-exec) for the caller, and nothing else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// The number of that process, as of its connection; `None` where the caller's pid namespace has none for it.
///
/// # Errors
/// The errno of `getsockopt(2)`.
pub(crate) fn pid(socket: BorrowedFd<'_>) -> Result<Option<Pid>, Errno> {
    let mut credentials = libc::ucred {
        pid: 0,
        uid: 0,
        gid: 0,
    };
    let mut length: libc::socklen_t = 12;
    // SAFETY: the kernel writes at most `length` bytes, which is the size of `credentials`, and sets `length`.
    let answer = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut credentials).cast(),
            &raw mut length,
        )
    };
    if answer == 0 {
        Ok(Pid::from_raw(credentials.pid))
    } else {
        Err(last_errno())
    }
}

const _: () = assert!(size_of::<libc::ucred>() == 12);
