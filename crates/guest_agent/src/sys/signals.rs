//! Signals of the agent itself: all at their default and blocked, `SIGCHLD` read from a descriptor.
//!
//! So no handler ever runs, `SIGPIPE` cannot kill, and a child made by `clone` has nothing to restore but the mask.
#![expect(
    unsafe_code,
    reason = "rustix offers neither dispositions, nor signalfd, nor signals by number"
)]

use std::{
    mem::MaybeUninit,
    os::fd::{FromRawFd as _, OwnedFd},
    ptr,
};

use rustix::io::Errno;

/// The highest signal number of Linux.
const LAST_SIGNAL: libc::c_int = 64;
/// Size of the kernel's signal set.
const KERNEL_SET_BYTES: usize = 8;

/// Puts every signal to its default disposition, blocks all of them and answers a non-blocking descriptor that is
/// readable when a child has ended (`signalfd(2)`).
///
/// The launcher ignores `SIGCHLD`; under that setting the kernel would throw exit codes away.
///
/// # Errors
/// The errno of `sigprocmask(2)` or `signalfd(2)`.
pub(crate) fn prepare() -> Result<OwnedFd, Errno> {
    for signal in 1..=LAST_SIGNAL {
        default_disposition(signal);
    }
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `all` is a place for one set, which sigfillset writes whole.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    // SAFETY: `all` was written just above; a null old set is allowed.
    check(unsafe { libc::sigprocmask(libc::SIG_SETMASK, all.as_ptr(), ptr::null_mut()) })?;
    let mut child = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `child` is a place for one set, which sigemptyset writes whole.
    unsafe { libc::sigemptyset(child.as_mut_ptr()) };
    // SAFETY: `child` was written just above.
    unsafe { libc::sigaddset(child.as_mut_ptr(), libc::SIGCHLD) };
    // SAFETY: `child` was written above; -1 asks for a new descriptor.
    let raw = check(unsafe {
        libc::signalfd(-1, child.as_ptr(), libc::SFD_NONBLOCK | libc::SFD_CLOEXEC)
    })?;
    // SAFETY: the kernel has just made this descriptor for us and no other code knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Sends signal `number` to the process `pid`; `number` 0 only asks whether it is there (`kill(2)`).
///
/// `pid` must be a child of the agent that has not been reaped: then it cannot be another process of the same number.
/// The same number below 0 means the group that this child leads.
///
/// # Errors
/// The errno of `kill(2)`.
pub(crate) fn send(pid: i32, number: i32) -> Result<(), Errno> {
    // SAFETY: kill touches no memory of ours.
    check(unsafe { libc::kill(pid, number) }).map(drop)
}

/// Sends signal `number` to everything the agent may signal except itself: in a pid namespace all its processes.
///
/// Nothing there to signal is fine.
///
/// # Errors
/// The errno of `kill(2)`.
pub(crate) fn send_to_all(number: i32) -> Result<(), Errno> {
    match send(-1, number) {
        Err(Errno::SRCH) => Ok(()),
        other => other,
    }
}

/// Sets one signal to its default. By the bare call, because the C library keeps two signals to itself and would leave
/// those ignored if they were inherited so.
fn default_disposition(signal: libc::c_int) {
    // All zero is SIG_DFL, no flags, no mask, whatever the order of the fields is; no machine's structure is larger.
    let action = [0_u64; 8];
    // SAFETY: the kernel reads a structure smaller than `action`. SIG_DFL runs no code. SIGKILL and SIGSTOP are
    // refused, and stay as they are.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            signal,
            action.as_ptr(),
            ptr::null_mut::<u64>(),
            KERNEL_SET_BYTES,
        )
    };
}

fn check(result: libc::c_int) -> Result<libc::c_int, Errno> {
    if result == -1 {
        let error = std::io::Error::last_os_error();
        return Err(Errno::from_io_error(&error).unwrap_or(Errno::IO));
    }
    Ok(result)
}
