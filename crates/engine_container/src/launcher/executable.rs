//! A copy of the running executable that nothing can write to.
//!
//! A container's processes could reach the executable of its pid 1 through `/proc/1/exe`. The agent is not dumpable,
//! so they may not; should that ever fail, they find a sealed memory file and not the service's own program on the
//! host's disk (the way of CVE-2019-5736).

use std::{
    fs::File,
    io,
    os::fd::{AsRawFd, OwnedFd},
};

use hcs_wire::sealing;
use rustix::{
    fs::{MemfdFlags, SealFlags, memfd_create},
    io::Errno,
};

use crate::failure::{Attempt, StepError};

/// Copies `/proc/self/exe` into a memory file and seals it.
pub(super) fn sealed_copy() -> Result<OwnedFd, StepError> {
    let mut original =
        File::open("/proc/self/exe").step_at("opening this program", "/proc/self/exe")?;
    let mut copy = File::from(executable_memory_file().step("making a memory file")?);
    io::copy(&mut original, &mut copy).step("copying this program into memory")?;
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    sealing::seal(&copy, seals).step("sealing the copy of this program")?;
    Ok(copy.into())
}

/// `MFD_EXEC` says that it is to be executed, where the kernel knows that (Linux 6.3); before, all of them can be.
fn executable_memory_file() -> Result<OwnedFd, Errno> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match memfd_create(super::NAME, flags | MemfdFlags::EXEC) {
        Err(Errno::INVAL) => memfd_create(super::NAME, flags),
        answer => answer,
    }
}

/// A path by which the calling process can execute it.
pub(crate) fn path_of(executable: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", executable.as_raw_fd())
}
