//! Locks of a file that a descriptor opened for reading alone cannot keep from readers (`F_OFD_SETLK`, `fcntl(2)`).
//!
//! They belong to an open file like those of `flock(2)`. That asks for no right: a descriptor for reading takes the
//! exclusive lock. Here the exclusive lock takes a descriptor for writing.
#![expect(unsafe_code, reason = "fcntl with a structure")]

use std::os::fd::{AsRawFd as _, BorrowedFd};

use rustix::io::Errno;

/// With how many others something is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// With any number of the same kind. The descriptor of a file has to be open for reading.
    Shared,
    /// With none. The descriptor of a file has to be open for writing.
    Alone,
}

/// The part of a file that is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    All,
    /// A byte where no file has any, and no other program any locks: those that lock parts of a disk image are not in
    /// the way, nor is this in theirs.
    Mark,
}

/// Where [`Part::Mark`] is.
const MARK: libc::off64_t = 1 << 62;

/// Locks a part of `file`, at once or not at all.
///
/// # Errors
/// `WOULDBLOCK` when another open file has a lock that excludes this; `BADF` when the descriptor is not open for it.
pub(crate) fn try_lock(file: BorrowedFd<'_>, kind: Kind, part: Part) -> Result<(), Errno> {
    // The headers of C libraries have these as numbers of other widths than the structure.
    const SHARED: libc::c_short = 0;
    const ALONE: libc::c_short = 1;
    const _: () =
        assert!(SHARED as i64 == libc::F_RDLCK as i64 && ALONE as i64 == libc::F_WRLCK as i64);
    const _: () = assert!(libc::SEEK_SET == 0);
    // SAFETY: the structure is plain numbers, for which zero is a value.
    let mut lock: libc::flock64 = unsafe { std::mem::zeroed() };
    // Counted from the start, and the length 0 is all of the file. The kernel wants 0 for the process.
    lock.l_type = match kind {
        Kind::Shared => SHARED,
        Kind::Alone => ALONE,
    };
    if part == Part::Mark {
        (lock.l_start, lock.l_len) = (MARK, 1);
    }
    // SAFETY: the kernel reads the structure, which outlives the call.
    let answer = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) };
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
