//! System calls of helper programs that guests may take over.

use std::io;

use hcs_schema::privileges::Capabilities;
use hcs_wire::errno::{NO_ROOM_FOR_FILTERS, UNCOMPILED};

use crate::{parts::seccomp, sys};

/// Filters the calling process's system calls from now on, and those of what it starts, as those of a container without
/// any capability: no sockets of families that no network namespace holds (`AF_VSOCK`), none of the kernel's rarely
/// used parts. The process must have given up new privileges (`PR_SET_NO_NEW_PRIVS`). For a process with one thread.
///
/// # Errors
/// That of `seccomp(2)`, in words where the system has none.
pub fn limit_system_calls() -> io::Result<()> {
    let installed = sys::seccomp::install(&seccomp::program(Capabilities::NONE));
    installed.map_err(|errno| match errno {
        UNCOMPILED => io::Error::other(NO_ROOM_FOR_FILTERS),
        errno => errno.into(),
    })
}
