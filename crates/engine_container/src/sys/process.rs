//! What a process changes about itself: namespaces, signals, keyring.
#![expect(unsafe_code, reason = "calls that no dependency wraps safely")]

use std::{mem::MaybeUninit, ptr};

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

/// Lets the kernel reap the children of the calling process by itself.
///
/// # Errors
/// The errno of `signal(2)`.
pub(crate) fn ignore_children() -> Result<(), Errno> {
    disposition(libc::SIGCHLD, libc::SIG_IGN)
}

/// Sets every signal to its default disposition and unblocks all of them.
///
/// # Errors
/// The errno of `sigprocmask(2)`.
pub(crate) fn default_signals() -> Result<(), Errno> {
    for signal in 1..=64 {
        // SIGKILL, SIGSTOP and the two that libc keeps for itself refuse; they are as they have to be.
        let _refused = disposition(signal, libc::SIG_DFL);
    }
    let mut empty = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: initialises the set it is given.
    unsafe { libc::sigemptyset(empty.as_mut_ptr()) };
    // SAFETY: the set is initialised and outlives the call.
    if unsafe { libc::sigprocmask(libc::SIG_SETMASK, empty.as_ptr(), ptr::null_mut()) } == -1 {
        return Err(last_errno());
    }
    Ok(())
}

fn disposition(signal: i32, to: libc::sighandler_t) -> Result<(), Errno> {
    // SAFETY: only SIG_DFL and SIG_IGN are passed, so no handler runs later.
    if unsafe { libc::signal(signal, to) } == libc::SIG_ERR {
        return Err(last_errno());
    }
    Ok(())
}

/// Leaves the session keyring of whoever started the calling process for an empty one.
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
