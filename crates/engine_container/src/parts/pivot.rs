//! The change of root: the container's becomes `/`, the host's disappears.

use std::os::fd::AsFd;

use rustix::{
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
    chdir("/").step("entering the new root")
}
