//! Locks of a file that a descriptor opened for reading alone cannot keep from readers (`F_OFD_SETLK`, `fcntl(2)`).
//!
//! They belong to an open file like those of `flock(2)`. That asks for no right: a descriptor for reading takes the
//! exclusive lock. Here the exclusive lock takes a descriptor for writing.
#![expect(unsafe_code, reason = "fcntl with a structure")]

use std::os::fd::{AsRawFd as _, BorrowedFd};

use rustix::io::Errno;

/// With how many others a file is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// With any number of the same kind; the descriptor is open for reading.
    Shared,
    /// With none; the descriptor is open for writing.
    Alone,
}

/// Locks all of `file`, at once or not at all.
///
/// # Errors
/// `WOULDBLOCK` when another open file has a lock that excludes this; `BADF` when the descriptor is not open for it.
pub fn try_lock(file: BorrowedFd<'_>, kind: Kind) -> Result<(), Errno> {
    // The headers of C libraries have these as numbers of other widths than the structure.
    const SHARED: libc::c_short = 0;
    const ALONE: libc::c_short = 1;
    const _: () =
        assert!(SHARED as i64 == libc::F_RDLCK as i64 && ALONE as i64 == libc::F_WRLCK as i64);
    const _: () = assert!(libc::SEEK_SET == 0);
    // SAFETY: the structure is plain numbers, for which zero is a value.
    let mut all: libc::flock = unsafe { std::mem::zeroed() };
    // Counted from the start, and the length 0 is all of the file. The kernel wants 0 for the process.
    all.l_type = match kind {
        Kind::Shared => SHARED,
        Kind::Alone => ALONE,
    };
    // SAFETY: the kernel reads the structure, which outlives the call.
    let answer = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const all) };
    match answer {
        0 => Ok(()),
        _ => match last_errno() {
            // Either of the two, says POSIX.
            Errno::ACCESS => Err(Errno::WOULDBLOCK),
            errno => Err(errno),
        },
    }
}

fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
