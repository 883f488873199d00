//! Installing a system call filter (`seccomp(2)`).
#![expect(unsafe_code, reason = "no dependency installs a ready-made program")]

use rustix::io::Errno;

use super::checked;

/// Filters the calling process's system calls by `program` from now on, and those of what it starts. It must have
/// `CAP_SYS_ADMIN` in its user namespace, or `no_new_privs` set.
///
/// # Errors
/// The errno of `seccomp(2)`.
pub(crate) fn install(program: &[libc::sock_filter]) -> Result<(), Errno> {
    let length = u16::try_from(program.len()).map_err(|_| Errno::INVAL)?;
    let program = libc::sock_fprog {
        len: length,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel reads `len` instructions, which outlive the call, and writes none.
    checked(unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            0_u32,
            &raw const program,
        )
    })
    .map(drop)
}
