//! The one system call that no dependency wraps soundly. The only unsafe code of this crate.
#![expect(unsafe_code, reason = "rustix has no place for a peer without a pid")]

use std::os::fd::{AsRawFd as _, BorrowedFd};

use rustix::io::Errno;

/// `SO_PEERCRED` (`unix(7)`): pid and user of the peer. The pid is 0 for a process of a pid namespace that cannot be
/// seen from here, which is no value of rustix's `Pid`.
///
/// # Errors
/// The errno of `getsockopt(2)`.
pub(crate) fn peer_credentials(socket: BorrowedFd<'_>) -> Result<(i32, u32), Errno> {
    let mut found = libc::ucred {
        pid: 0,
        uid: 0,
        gid: 0,
    };
    let Ok(mut size) = libc::socklen_t::try_from(size_of::<libc::ucred>()) else {
        return Err(Errno::INVAL);
    };
    let place = (&raw mut found).cast::<libc::c_void>();
    // SAFETY: `place` has room for as many bytes as `size` says, of a structure that any bytes are one of.
    let answer = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            place,
            &raw mut size,
        )
    };
    if answer == -1 {
        let error = std::io::Error::last_os_error();
        return Err(Errno::from_io_error(&error).unwrap_or(Errno::IO));
    }
    Ok((found.pid, found.uid))
}
