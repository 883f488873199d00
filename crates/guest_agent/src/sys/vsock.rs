//! Streams to the host of a virtual machine (`vsock(7)`).
#![expect(unsafe_code, reason = "rustix has no addresses of vsock")]

use std::{
    mem,
    os::fd::{AsRawFd as _, OwnedFd},
};

use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, socket_with},
};

/// `AF_VSOCK`, as an address has it.
const FAMILY: libc::sa_family_t = 40;
const _: () = assert!(libc::AF_VSOCK == 40);
/// Size of an address.
const SIZE: libc::socklen_t = 16;
const _: () = assert!(size_of::<libc::sockaddr_vm>() == 16);

/// A socket, non-blocking and close-on-exec.
///
/// # Errors
/// The errno of `socket(2)`: `EAFNOSUPPORT` where the kernel has no vsock.
pub(crate) fn socket() -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    socket_with(AddressFamily::VSOCK, SocketType::STREAM, flags, None)
}

/// Gives `socket` its own `port`.
///
/// # Errors
/// The errno of `bind(2)`: `EADDRINUSE`, and it may be tried with another; `EACCES` for a port that is not for this
/// program.
pub(crate) fn bind(socket: &OwnedFd, port: u32) -> Result<(), Errno> {
    let address = address(libc::VMADDR_CID_ANY, port);
    // SAFETY: the descriptor is open, and the kernel reads `SIZE` bytes of `address`, which is as large.
    let result = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), SIZE) };
    if result == 0 { Ok(()) } else { Err(last()) }
}

/// Begins to connect `socket` to `port` of the host; whether it is connected. A socket that is not becomes writable
/// when that is decided, and its pending error says how.
///
/// # Errors
/// The errno of `connect(2)`: `ENODEV` where the machine has no such device.
pub(crate) fn connect(socket: &OwnedFd, port: u32) -> Result<bool, Errno> {
    let address = address(libc::VMADDR_CID_HOST, port);
    // SAFETY: the descriptor is open, and the kernel reads `SIZE` bytes of `address`, which is as large.
    let result = unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), SIZE) };
    if result == 0 {
        return Ok(true);
    }
    match last() {
        Errno::INPROGRESS => Ok(false),
        errno => Err(errno),
    }
}

fn address(cid: u32, port: u32) -> libc::sockaddr_vm {
    // SAFETY: all zero is a valid value of this structure, which has numbers only.
    let mut address: libc::sockaddr_vm = unsafe { mem::zeroed() };
    address.svm_family = FAMILY;
    address.svm_cid = cid;
    address.svm_port = port;
    address
}

fn last() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
