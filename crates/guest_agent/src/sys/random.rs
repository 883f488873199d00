//! The kernel's random numbers (`random(4)`).
#![expect(unsafe_code, reason = "rustix has no calls of this device")]

use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::{
    fs::{Mode, OFlags, open},
    io::Errno,
};

/// `_IOW('R', 0x03, int[2])`.
const RNDADDENTROPY: libc::c_ulong = 0x4008_5203;
/// `_IO('R', 0x07)`.
const RNDRESEEDCRNG: libc::c_ulong = 0x5207;
const BYTES: usize = 32;
const _: () = assert!(size_of::<Pool>() == 8 + BYTES);

/// `struct rand_pool_info` with its bytes.
#[repr(C)]
struct Pool {
    entropy_bits: libc::c_int,
    size: libc::c_int,
    bytes: [u8; BYTES],
}

/// Mixes `bytes`, which are secret and random, into the kernel's random numbers, and has all that are given out from
/// now on depend on them.
///
/// # Errors
/// The errno of `open(2)` or `ioctl(2)`: `EPERM` without `CAP_SYS_ADMIN`.
pub(crate) fn mix(bytes: [u8; BYTES]) -> Result<(), Errno> {
    let device = open(
        "/dev/urandom",
        OFlags::RDWR | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let pool = Pool {
        entropy_bits: 256,
        size: 32,
        bytes,
    };
    // SAFETY: the kernel reads the two numbers of `pool` and as many bytes behind them as the second says, which are
    // there.
    let added = unsafe { libc::ioctl(device.as_raw_fd(), RNDADDENTROPY, &raw const pool) };
    check(added)?;
    reseed(&device)
}

fn reseed(device: &OwnedFd) -> Result<(), Errno> {
    // SAFETY: this request has no argument.
    check(unsafe { libc::ioctl(device.as_raw_fd(), RNDRESEEDCRNG) })
}

fn check(result: libc::c_int) -> Result<(), Errno> {
    if result == 0 {
        return Ok(());
    }
    let error = std::io::Error::last_os_error();
    Err(Errno::from_io_error(&error).unwrap_or(Errno::IO))
}
