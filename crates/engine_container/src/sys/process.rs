//! What a process changes about itself: namespaces, signals, keyring.
#![expect(unsafe_code, reason = "calls that no dependency wraps safely")]

use std::{
    os::fd::{AsRawFd as _, BorrowedFd},
    ptr,
};

use rustix::{
    io::Errno,
    thread::{UnshareFlags, unshare_unsafe},
};

use super::{checked, last_errno};

/// Gives the calling process a cgroup namespace whose root is the cgroup it is in.
///
/// # Errors
/// The errno of `unshare(2)`.
pub(crate) fn new_cgroup_namespace() -> Result<(), Errno> {
    // SAFETY: no descriptor table is unshared.
    unsafe { unshare_unsafe(UnshareFlags::NEWCGROUP) }
}

/// Gives the calling process a mount namespace of its own, a copy of the one it is in.
///
/// # Errors
/// The errno of `unshare(2)`.
pub(crate) fn new_mount_namespace() -> Result<(), Errno> {
    // SAFETY: as above.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }
}

/// Has the children of the calling process be in a new pid namespace; the first one ends all others with its end.
///
/// # Errors
/// The errno of `unshare(2)`.
pub(crate) fn have_children_in_new_pid_namespace() -> Result<(), Errno> {
    // SAFETY: as above.
    unsafe { unshare_unsafe(UnshareFlags::NEWPID) }
}

/// Keeps the file behind a descriptor open for the whole life of the calling process, until it executes a program:
/// locks of the file stay with it. The descriptor can be closed.
///
/// # Errors
/// The errno of `mmap(2)`.
pub(crate) fn keep_open(file: BorrowedFd<'_>) -> Result<(), Errno> {
    const LENGTH: usize = 1;
    let (nowhere, descriptor) = (ptr::null_mut(), file.as_raw_fd());
    let (access, flags) = (libc::PROT_NONE, libc::MAP_PRIVATE);
    // SAFETY: the kernel chooses a place that is free, and no code gets to know it. The page allows no access, and
    // nothing unmaps it.
    let page = unsafe { libc::mmap(nowhere, LENGTH, access, flags, descriptor, 0) };
    match page == libc::MAP_FAILED {
        true => Err(last_errno()),
        false => Ok(()),
    }
}

/// Whether the kernel reaps the children of the calling process by itself.
///
/// # Errors
/// The errno of `signal(2)`.
pub(crate) fn ignore_children(ignore: bool) -> Result<(), Errno> {
    let disposition = if ignore { libc::SIG_IGN } else { libc::SIG_DFL };
    // SAFETY: neither runs code of ours.
    if unsafe { libc::signal(libc::SIGCHLD, disposition) } == libc::SIG_ERR {
        return Err(last_errno());
    }
    Ok(())
}

/// Has writes past `RLIMIT_FSIZE` fail by `EFBIG`. The launcher and its children have the default again.
///
/// # Errors
/// The errno of `signal(2)`.
pub(crate) fn ignore_signal_of_file_size() -> Result<(), Errno> {
    // SAFETY: no code of ours runs.
    if unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) } == libc::SIG_ERR {
        return Err(last_errno());
    }
    Ok(())
}

/// The highest signal number of Linux, and the size of a set of signals in bytes.
const LAST_SIGNAL: i32 = 64;
const SIGNAL_SET: usize = 8;

/// Sets every signal to its default disposition and unblocks all of them; those too that libc keeps to itself, since
/// the caller of all this may have left them ignored.
///
/// # Errors
/// The errno of `rt_sigaction(2)` or `rt_sigprocmask(2)`.
pub(crate) fn default_signals() -> Result<(), Errno> {
    // The kernel's structure on every architecture begins with the handler; SIG_DFL, no flags and no mask are zero.
    let default = [0_u64; 4];
    let nowhere = ptr::null_mut::<u64>();
    for signal in
        (1..=LAST_SIGNAL).filter(|signal| ![libc::SIGKILL, libc::SIGSTOP].contains(signal))
    {
        // SAFETY: the structure outlives the call and installs no code.
        checked(unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                nowhere,
                SIGNAL_SET,
            )
        })?;
    }
    let none = [0_u8; SIGNAL_SET];
    // SAFETY: the set outlives the call.
    checked(unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            none.as_ptr(),
            nowhere,
            SIGNAL_SET,
        )
    })
    .map(drop)
}

/// Leaves the session keyring of the program that started the calling process for an empty one.
///
/// # Errors
/// The errno of `keyctl(2)`; `ENOSYS` where the kernel has no keyrings.
pub(crate) fn new_session_keyring() -> Result<(), Errno> {
    let anonymous = ptr::null::<libc::c_char>();
    // SAFETY: a null name asks for a new anonymous keyring.
    checked(unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            libc::KEYCTL_JOIN_SESSION_KEYRING,
            anonymous,
        )
    })
    .map(drop)
}

/// Gives free heap pages back to the kernel.
pub(crate) fn trim_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: touches only memory that the allocator holds as free.
    unsafe {
        libc::malloc_trim(0);
    }
}
