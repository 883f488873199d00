//! Namespaces, and work of a child between its fork and its program.
#![expect(unsafe_code, reason = "calls that no dependency wraps safely")]

use std::{
    io,
    os::unix::process::CommandExt as _,
    process::{Child, Command},
};

use rustix::{
    io::Errno,
    thread::{UnshareFlags, unshare_unsafe},
};

/// Has the next child of the calling process be the first one of a pid namespace.
///
/// # Errors
/// The errno of `unshare(2)`.
pub(crate) fn new_pid_namespace_for_children() -> Result<(), Errno> {
    // SAFETY: no descriptor table is unshared.
    unsafe { unshare_unsafe(UnshareFlags::NEWPID) }
}

/// Gives the calling process namespaces of its own, copies of those it is in: mounts, network, IPC, host name, control
/// groups.
///
/// # Errors
/// The errno of `unshare(2)`.
pub(crate) fn new_namespaces() -> Result<(), Errno> {
    let flags = UnshareFlags::NEWNS
        | UnshareFlags::NEWNET
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWUTS
        | UnshareFlags::NEWCGROUP;
    // SAFETY: no descriptor table is unshared.
    unsafe { unshare_unsafe(flags) }
}

/// Has the calling process live on when the kernel hangs up its process group: that happens to a group with a stopped
/// process whose parent ends, and the parent of a worker is the service.
///
/// # Errors
/// The errno of `signal(2)`.
pub(crate) fn ignore_hangups() -> Result<(), Errno> {
    // SAFETY: no code of ours runs.
    match unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) } {
        libc::SIG_ERR => Err(Errno::INVAL),
        _ => Ok(()),
    }
}

/// Starts `command`, whose child does `work` before it executes its program. For a process with one thread only: the
/// child is then a copy of it that may do what it might have done itself.
///
/// # Errors
/// `EBUSY` with more threads; the failure of the work, or of executing the program.
pub(crate) fn spawn(
    mut command: Command,
    work: impl FnMut() -> io::Result<()> + Send + Sync + 'static,
) -> io::Result<Child> {
    if !single_threaded() {
        return Err(Errno::BUSY.into());
    }
    // SAFETY: no other thread exists, so no lock is held that the child could wait for, and memory may be allocated.
    unsafe { command.pre_exec(work) };
    command.spawn()
}

/// Whether the calling process has one thread only: procfs counts them in the links of this directory.
fn single_threaded() -> bool {
    rustix::fs::stat("/proc/self/task").is_ok_and(|directory| directory.st_nlink == 3)
}
