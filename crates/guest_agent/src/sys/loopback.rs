//! The network interface of a machine to itself (`netdevice(7)`).
#![expect(unsafe_code, reason = "rustix has no calls of network interfaces")]

use std::{mem, os::fd::AsRawFd as _};

use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, socket_with},
};

/// `IFF_UP` and `IFF_RUNNING`.
const UP_AND_RUNNING: libc::c_short = 0x41;
const _: () = assert!(libc::IFF_UP | libc::IFF_RUNNING == 0x41);

/// Sets the interface `lo` up, which gives it its addresses.
///
/// # Errors
/// The errno of `socket(2)` or `ioctl(2)`: `EAFNOSUPPORT` of a kernel without networks.
pub(crate) fn up() -> Result<(), Errno> {
    let socket = socket_with(
        AddressFamily::INET,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    // SAFETY: all zero is a valid value of this structure, which has numbers only.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(*b"lo") {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = UP_AND_RUNNING;
    // SAFETY: the kernel reads a structure of this kind, which `request` is.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    if result == 0 {
        return Ok(());
    }
    let error = std::io::Error::last_os_error();
    Err(Errno::from_io_error(&error).unwrap_or(Errno::IO))
}
