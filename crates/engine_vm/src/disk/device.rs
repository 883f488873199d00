//! Opens a block device of the host for QEMU, and claims it.
//!
//! The claim (`O_EXCL`, see `open(2)`) belongs to the open device, which QEMU inherits. While it lasts the host mounts
//! no file system of the device, nor of a part of it, and no other machine gets it. The guest has the blocks of the
//! device and no more: what it says to its disk is answered by QEMU, so no command of a guest reaches the hardware.

use std::{
    fs::File,
    io::{Seek as _, SeekFrom},
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
};

use engine_container::shared::{find_device, open_in_view};
use hcs_schema::{Failure, HResult};
use hcs_wire::errno;
use rustix::{
    fs::{Mode, OFlags, open as open_path},
    io::Errno,
};

use super::{Attached, format::LOOKED_AT, open::IN_USE};
use crate::grants::Grantee;

/// Opens the device of a disk of `machine`. One that is not granted is not opened: it may do something then, and the
/// claim is felt by others.
///
/// # Errors
/// It is not there, is no block device, is not granted to the machine, is in use, or has no blocks; by pointer.
pub(super) fn open(attached: &Attached, machine: &Grantee) -> Result<OwnedFd, Failure> {
    let Attached {
        disk,
        path,
        pointer,
    } = attached;
    let found = find_device(path, pointer)?;
    machine.check(&found, (path, pointer), disk.read_only)?;
    let refused = |code: HResult, message: String| {
        Failure::new(code, message.clone()).cause_at(pointer, message)
    };
    let flags = OFlags::EXCL | OFlags::CLOEXEC;
    let opened = match disk.read_only {
        true => open_in_view(found.as_fd(), flags | OFlags::RDONLY),
        false => {
            // By the descriptor, so that it is the device that was looked at.
            let again = format!("/proc/self/fd/{}", found.as_raw_fd());
            open_path(again, flags | OFlags::RDWR, Mode::empty())
        }
    };
    let opened = opened.map_err(|errno| match errno {
        Errno::BUSY => refused(
            HResult::from_win32(IN_USE),
            format!("{path} is in use: the host has a file system of it, or another virtual machine has it"),
        ),
        Errno::ROFS | Errno::ACCESS if !disk.read_only => refused(
            HResult::E_ACCESSDENIED,
            format!("{path} can only be read: give \"ReadOnly\": true"),
        ),
        errno => refused(
            errno::hresult(errno),
            format!("{path} cannot be opened: {}", errno::words(errno)),
        ),
    })?;
    let mut device = File::from(opened);
    match device.seek(SeekFrom::End(0)) {
        Ok(size) if size >= LOOKED_AT as u64 => Ok(device.into()),
        Ok(size) => Err(refused(
            HResult::E_INVALIDARG,
            format!(
                "{path} cannot be a disk: it has {size} bytes, and a disk has at least {LOOKED_AT}"
            ),
        )),
        Err(e) => Err(refused(
            HResult::E_FAIL,
            format!("{path} cannot be read: {e}"),
        )),
    }
}
