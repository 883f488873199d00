//! Raw system calls that no dependency wraps. The only unsafe code of this crate; every function here is safe to call.

pub(crate) mod bpf;
pub(crate) mod clone;
pub(crate) mod descriptors;
pub(crate) mod inherited;
pub(crate) mod loopback;
pub(crate) mod mount;
pub(crate) mod namespace;
pub(crate) mod pidfd;
pub(crate) mod process;
pub(crate) mod seccomp;

use rustix::io::Errno;

/// The answer of `libc::syscall`, or the errno it left.
fn checked(result: libc::c_long) -> Result<libc::c_long, Errno> {
    if result == -1 {
        Err(last_errno())
    } else {
        Ok(result)
    }
}

/// The calling thread's errno.
fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
