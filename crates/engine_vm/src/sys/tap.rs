//! Links whose frames are those of a descriptor (`tun(4)`).
#![expect(
    unsafe_code,
    reason = "an ioctl with a structure that no dependency has"
)]

use std::{
    io, mem,
    os::fd::{AsRawFd as _, OwnedFd},
};

use rustix::{
    fs::{Mode, OFlags, open},
    io::Errno,
};

/// `IFF_TAP | IFF_NO_PI | IFF_TUN_EXCL`: whole frames with nothing before them, and no link that is there already.
const FLAGS: u16 = 0x0002 | 0x1000 | 0x8000;

/// Makes a link of this name in the network namespace of the calling thread. It goes when the last copy of the
/// descriptor is closed.
///
/// # Errors
/// The errno of `open(2)` or `ioctl(2)`: `ENOENT` without the driver, `EBUSY` where a link has the name, `EINVAL` for a
/// name that is too long.
pub(crate) fn make(name: &str) -> Result<OwnedFd, Errno> {
    let device = open(
        "/dev/net/tun",
        OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    // SAFETY: all zero is a valid value of this structure, which has numbers only.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    if name.is_empty() || name.len() >= request.ifr_name.len() {
        return Err(Errno::INVAL);
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = FLAGS.cast_signed();
    // SAFETY: the kernel reads and writes a structure of this kind, which `request` is.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    if result == 0 {
        return Ok(device);
    }
    Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO))
}
