//! System calls that no dependency wraps soundly. The only unsafe code of this crate.
#![expect(unsafe_code, reason = "rustix has no place for a peer without a pid")]

pub(crate) mod record_lock;

use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use rustix::{io::Errno, net::RecvFlags};

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

/// `SO_PEERPIDFD` of `asm-generic/socket.h`.
const SO_PEERPIDFD: libc::c_int = 77;

/// A pidfd of the process that connected, or that called `listen(2)`. It names that very process, even when it has
/// ended and its number belongs to another one.
///
/// # Errors
/// `ENOPROTOOPT` before Linux 6.5; `ENODATA` for a socket without a peer; else the errno of `getsockopt(2)`.
pub(crate) fn peer_pidfd(socket: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let mut descriptor: libc::c_int = -1;
    let mut length: libc::socklen_t = 4;
    // SAFETY: the kernel writes at most `length` bytes, which is the size of `descriptor`, and sets `length`.
    let answer = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_PEERPIDFD,
            (&raw mut descriptor).cast(),
            &raw mut length,
        )
    };
    if answer != 0 {
        let error = std::io::Error::last_os_error();
        return Err(Errno::from_io_error(&error).unwrap_or(Errno::IO));
    }
    // SAFETY: the kernel has just made this descriptor (close-on-exec) for the caller, and nothing else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// `SO_PASSRIGHTS` of `asm-generic/socket.h`.
const SO_PASSRIGHTS: libc::c_int = 83;

/// Whether peers may send descriptors to a socket, and to those that it accepts from now on.
///
/// # Errors
/// `ENOPROTOOPT` before Linux 6.16; else the errno of `setsockopt(2)`.
pub(crate) fn set_pass_rights(socket: BorrowedFd<'_>, may: bool) -> Result<(), Errno> {
    let value = libc::c_int::from(may);
    // SAFETY: the kernel reads the four bytes of `value`, and no more.
    let answer = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_PASSRIGHTS,
            (&raw const value).cast(),
            4,
        )
    };
    if answer == 0 {
        return Ok(());
    }
    let error = std::io::Error::last_os_error();
    Err(Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

/// Room for one control message with credentials (`cmsg(3)`), aligned as the kernel wants it.
#[repr(C)]
struct CredentialsMessage {
    header: libc::cmsghdr,
    credentials: libc::ucred,
    /// What alignment may add.
    _rest: [u64; 1],
}

/// Receives one byte, and the pid of who sent it where the socket has `SO_PASSCRED`: 0 for a process of a pid namespace
/// that cannot be seen from here, which is no value of rustix's `Pid`. Descriptors that come along are closed by the
/// kernel, as there is no room for them. No byte at the end of the stream.
///
/// # Errors
/// The errno of `recvmsg(2)`.
pub(crate) fn receive_byte(
    socket: BorrowedFd<'_>,
    flags: RecvFlags,
) -> Result<(Option<u8>, Option<i32>), Errno> {
    let mut byte = 0_u8;
    let mut part = libc::iovec {
        iov_base: (&raw mut byte).cast(),
        iov_len: 1,
    };
    // SAFETY: all zero is a valid value of these structures, which have numbers and null pointers only.
    let mut control: CredentialsMessage = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = size_of::<CredentialsMessage>();
    let flags = flags.bits().cast_signed() | libc::MSG_CMSG_CLOEXEC;
    // SAFETY: the kernel writes one byte into `byte` and at most as many bytes into `control` as it has.
    let answer = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags) };
    if answer == -1 {
        let error = std::io::Error::last_os_error();
        return Err(Errno::from_io_error(&error).unwrap_or(Errno::IO));
    }
    // The kernel writes credentials before descriptors.
    let header = &control.header;
    let are_credentials = message.msg_controllen >= size_of::<libc::cmsghdr>()
        && header.cmsg_level == libc::SOL_SOCKET
        && header.cmsg_type == libc::SCM_CREDENTIALS
        && header.cmsg_len >= size_of::<libc::cmsghdr>() + size_of::<libc::ucred>();
    let pid = are_credentials.then_some(control.credentials.pid);
    Ok(((answer == 1).then_some(byte), pid))
}
