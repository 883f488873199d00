//! Loop devices: a file as a block device (`loop(4)`).
#![expect(unsafe_code, reason = "ioctl with a structure")]

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::{
    fs::{Mode, OFlags, open},
    io::Errno,
};

const LOOP_CONFIGURE: libc::c_ulong = 0x4C0A;
const LOOP_CTL_GET_FREE: libc::c_ulong = 0x4C82;
/// The device is free again when it is closed for the last time, by a mount as well.
const LO_FLAGS_AUTOCLEAR: u32 = 4;

/// `struct loop_config` of `linux/loop.h` (Linux 5.8).
#[repr(C)]
struct LoopConfig {
    file: u32,
    block_size: u32,
    /// `struct loop_info64` up to its flags.
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    /// Its names, key and initial values.
    names: [u64; 22],
    reserved: [u64; 8],
}

const _: () = assert!(size_of::<LoopConfig>() == 304);

/// How often a free device is looked for that another process then takes.
const ATTEMPTS: u32 = 64;

/// Makes `length` bytes of `file` from `offset` on a block device, and returns that with its path; 0 is all of the
/// file. The device exists as long as it is open or mounted, and has the file open so long.
///
/// # Errors
/// The host has no loop devices, or has none left.
pub fn attach(file: BorrowedFd<'_>, offset: u64, length: u64) -> Result<(OwnedFd, String), Errno> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    let control = open("/dev/loop-control", flags, Mode::empty())?;
    for _ in 0..ATTEMPTS {
        // SAFETY: this request takes no argument.
        let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) };
        if number < 0 {
            return Err(last_errno());
        }
        let path = format!("/dev/loop{number}");
        let device = open(&*path, flags, Mode::empty())?;
        match configure(&device, file, (offset, length)) {
            // Another process took it in between.
            Err(Errno::BUSY) => {}
            answer => return answer.map(|()| (device, path)),
        }
    }
    Err(Errno::BUSY)
}

fn configure(
    device: &OwnedFd,
    file: BorrowedFd<'_>,
    (offset, size_limit): (u64, u64),
) -> Result<(), Errno> {
    let config = LoopConfig {
        file: file.as_raw_fd().cast_unsigned(),
        block_size: 0,
        device: 0,
        inode: 0,
        rdevice: 0,
        offset,
        size_limit,
        number: 0,
        encrypt_type: 0,
        encrypt_key_size: 0,
        flags: LO_FLAGS_AUTOCLEAR,
        names: [0; 22],
        reserved: [0; 8],
    };
    // SAFETY: the kernel reads a `loop_config`, which the structure is by the size asserted above, during the call
    // only.
    let answer = unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE, &raw const config) };
    if answer == 0 {
        Ok(())
    } else {
        Err(last_errno())
    }
}

/// The calling thread's errno.
fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
