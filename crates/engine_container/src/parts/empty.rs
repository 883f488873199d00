//! Empty directories that cover what a container must not see.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::{
    fs::{AtFlags, statat},
    io::Errno,
    mount::MountAttrFlags,
};

use super::mount;

/// An empty read-only directory that is mounted in several places.
#[derive(Debug)]
pub(super) struct EmptyDirectory {
    mount: OwnedFd,
    /// Whether it is mounted somewhere: only then can there be further views of it (before Linux 6.15).
    attached: bool,
}

impl EmptyDirectory {
    pub(super) fn new() -> Result<Self, Errno> {
        let attributes = mount::PLAIN | MountAttrFlags::MOUNT_ATTR_RDONLY;
        let options = [("mode", "0555"), ("size", "4k")];
        mount::create("tmpfs", &options, attributes).map(|mount| Self {
            mount,
            attached: false,
        })
    }

    /// Mounts it on a directory below `directory` that [is there](is_there); an empty path means `directory` itself.
    pub(super) fn cover(&mut self, directory: BorrowedFd<'_>, path: &str) -> Result<(), Errno> {
        if self.attached {
            match mount::clone_tree(self.mount.as_fd(), "", false) {
                Ok(view) => return mount::attach_below(view.as_fd(), directory, path),
                // What it was on has gone, and it with that: a module of the kernel was removed, say.
                Err(Errno::INVAL) => *self = Self::new()?,
                Err(errno) => return Err(errno),
            }
        }
        mount::attach_below(self.mount.as_fd(), directory, path)?;
        self.attached = true;
        Ok(())
    }
}

/// Whether there is something to cover. Asked before a view is made: throwing one away that was mounted nowhere waits
/// for a grace period of the kernel, which takes longer than all of these mounts together.
pub(super) fn is_there(directory: BorrowedFd<'_>, path: &str) -> Result<bool, Errno> {
    match statat(directory, path, AtFlags::EMPTY_PATH) {
        Ok(_) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno),
    }
}
