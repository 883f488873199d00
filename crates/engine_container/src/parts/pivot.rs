//! The change of root: the container's becomes `/`, the host's disappears.

use std::os::fd::AsFd;

use rustix::{
    fs::{AtFlags, CWD, Statx, StatxFlags, statx},
    io::Errno,
    mount::{UnmountFlags, unmount},
    process::{chdir, fchdir, pivot_root},
};

use super::rootfs::Root;
use crate::failure::{Attempt, StepError};

/// Makes `root` the calling process's `/` and lets go of all mounts of the host.
pub(crate) fn apply(root: &Root) -> Result<(), StepError> {
    fchdir(root.directory.as_fd()).step("entering the root file system")?;
    // With both the same, the old root ends up mounted over the new one, and is taken off from there.
    pivot_root(".", ".").step("changing the root")?;
    unmount(".", UnmountFlags::DETACH).step("unmounting the old root")?;
    chdir("/").step("entering the new root")?;
    nothing_covers_it()
}

/// A process that enters the container's mounts from outside begins at the topmost mount of its root, which `/..` leads
/// to as well. That has to be the root itself, and no second mount of its directory.
fn nothing_covers_it() -> Result<(), StepError> {
    let step = "making sure that nothing of the host is left";
    let asked = StatxFlags::BASIC_STATS | StatxFlags::MNT_ID;
    let [own, top] =
        ["/", "/.."].map(|path| statx(CWD, path, AtFlags::NO_AUTOMOUNT, asked).step(step));
    if place(&own?) == place(&top?) {
        return Ok(());
    }
    Err(StepError::new(step, Errno::BUSY))
}

/// The mount that something is on, its device and its number there.
const fn place(found: &Statx) -> (u64, u32, u32, u64) {
    (
        found.stx_mnt_id,
        found.stx_dev_major,
        found.stx_dev_minor,
        found.stx_ino,
    )
}
