//! What a process inherits and no dependency can reset: scheduling, personality, memory policy, users and groups.
#![expect(unsafe_code, reason = "calls that no dependency wraps safely")]

use std::ptr;

use rustix::io::Errno;

use super::{checked, last_errno};

/// `SCHED_OTHER`, whatever the policy was.
///
/// # Errors
/// The errno of `sched_setscheduler(2)`.
pub(crate) fn ordinary_scheduling() -> Result<(), Errno> {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the parameters outlive the call.
    if unsafe { libc::sched_setscheduler(0, libc::SCHED_OTHER, &raw const parameters) } == -1 {
        return Err(last_errno());
    }
    Ok(())
}

/// No priority for disks but what follows from the nice value.
///
/// # Errors
/// The errno of `ioprio_set(2)`.
pub(crate) fn no_io_priority() -> Result<(), Errno> {
    const WHO_PROCESS: libc::c_int = 1;
    // SAFETY: takes numbers only.
    checked(unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, 0) }).map(drop)
}

/// The personality of Linux without oddities: random addresses for what is executed from now on, say (`setarch -R`).
///
/// # Errors
/// The errno of `personality(2)`.
pub(crate) fn ordinary_personality() -> Result<(), Errno> {
    // SAFETY: takes a number only.
    if unsafe { libc::personality(0) } == -1 {
        return Err(last_errno());
    }
    Ok(())
}

/// Memory from the node of the processor that asks for it, whatever nodes were chosen before (`numactl`).
///
/// # Errors
/// The errno of `set_mempolicy(2)`; `ENOSYS` of a kernel without nodes.
pub(crate) fn ordinary_memory_policy() -> Result<(), Errno> {
    const MPOL_DEFAULT: libc::c_int = 0;
    let none = ptr::null::<libc::c_ulong>();
    // SAFETY: takes numbers, and no nodes are read from nowhere.
    checked(unsafe { libc::syscall(libc::SYS_set_mempolicy, MPOL_DEFAULT, none, 0_usize) })
        .map(drop)
}

/// Gives up all supplementary groups.
///
/// # Errors
/// The errno of `setgroups(2)`.
pub(crate) fn leave_groups() -> Result<(), Errno> {
    // SAFETY: no groups are read from nowhere.
    if unsafe { libc::setgroups(0, ptr::null()) } == -1 {
        return Err(last_errno());
    }
    Ok(())
}

/// Real, effective and saved group.
///
/// # Errors
/// The errno of `setresgid(2)`.
pub(crate) fn set_group(group: u32) -> Result<(), Errno> {
    // SAFETY: takes numbers only.
    if unsafe { libc::setresgid(group, group, group) } == -1 {
        return Err(last_errno());
    }
    Ok(())
}

/// Real, effective and saved user.
///
/// # Errors
/// The errno of `setresuid(2)`.
pub(crate) fn set_user(user: u32) -> Result<(), Errno> {
    // SAFETY: takes numbers only.
    if unsafe { libc::setresuid(user, user, user) } == -1 {
        return Err(last_errno());
    }
    Ok(())
}
