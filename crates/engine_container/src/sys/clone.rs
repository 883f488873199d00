//! `clone3(2)`: a child in new namespaces, with a descriptor of it, inside a cgroup.
#![expect(unsafe_code, reason = "glibc offers no clone3")]

use std::{
    mem::size_of,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

use rustix::io::Errno;

use super::checked;

/// Which side of the clone this is.
#[derive(Debug)]
pub(crate) enum Cloned {
    /// The new process.
    Child,
    /// The process that called.
    Parent {
        /// The child, as the caller sees it.
        pid: i32,
        /// The child's pidfd, close-on-exec.
        pidfd: OwnedFd,
    },
}

/// Copies the calling process, as `fork(2)` does, into the namespaces of `flags` (`CLONE_NEW*`) and, on cgroup v2,
/// into the cgroup whose directory is `cgroup`.
///
/// The caller must be single-threaded: the child has only the calling thread, and locks that others held would stay
/// held. The answer is `EBUSY` when it is not.
///
/// # Errors
/// The errno of `clone3(2)`.
pub(crate) fn clone_into(flags: i32, cgroup: Option<BorrowedFd<'_>>) -> Result<Cloned, Errno> {
    if !single_threaded() {
        return Err(Errno::BUSY);
    }
    let mut pidfd: RawFd = -1;
    let mut arguments = libc::clone_args {
        flags: u64::from((flags | libc::CLONE_PIDFD).cast_unsigned()),
        pidfd: (&raw mut pidfd).addr() as u64,
        child_tid: 0,
        parent_tid: 0,
        exit_signal: u64::from(libc::SIGCHLD.cast_unsigned()),
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: 0,
    };
    if let Some(cgroup) = cgroup {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = u64::from(cgroup.as_raw_fd().cast_unsigned());
    }
    // SAFETY: the arguments outlive the call and hold no stack, so that the child goes on with a copy of this one as
    // after fork; no other thread exists (checked above), so no lock is lost in the child.
    let answer = checked(unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw mut arguments,
            size_of::<libc::clone_args>(),
        )
    })?;
    if answer == 0 {
        return Ok(Cloned::Child);
    }
    // SAFETY: the kernel has put a new descriptor there, which nothing else knows of.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    let pid = i32::try_from(answer).map_err(|_| Errno::OVERFLOW)?;
    Ok(Cloned::Parent { pid, pidfd })
}

/// `CLONE_INTO_CGROUP` of `linux/sched.h`; wider than the `int` constants of libc.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Whether the calling process has one thread only: procfs counts them in the links of this directory.
fn single_threaded() -> bool {
    rustix::fs::stat("/proc/self/task").is_ok_and(|directory| directory.st_nlink == 3)
}
