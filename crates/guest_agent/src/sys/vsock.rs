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

/// Begins to connect to `port` of the host: the socket, non-blocking and close-on-exec, and whether it is connected. One
/// that is not becomes writable when that is decided, and its pending error says how.
///
/// # Errors
/// The errno of `socket(2)` or `connect(2)`: `ENODEV` where the machine has no such device.
pub(crate) fn connect(port: u32) -> Result<(OwnedFd, bool), Errno> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::VSOCK, SocketType::STREAM, flags, None)?;
    // SAFETY: all zero is a valid value of this structure, which has numbers only.
    let mut address: libc::sockaddr_vm = unsafe { mem::zeroed() };
    address.svm_family = FAMILY;
    address.svm_cid = libc::VMADDR_CID_HOST;
    address.svm_port = port;
    // SAFETY: the descriptor is open, and the kernel reads `SIZE` bytes of `address`, which is as large.
    let result = unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), SIZE) };
    if result == 0 {
        return Ok((socket, true));
    }
    match Errno::from_io_error(&std::io::Error::last_os_error()) {
        Some(Errno::INPROGRESS) => Ok((socket, false)),
        errno => Err(errno.unwrap_or(Errno::IO)),
    }
}
