//! `mount_setattr(2)`: attributes and propagation of a whole mount tree in one call.
#![expect(unsafe_code, reason = "no dependency wraps mount_setattr")]

use std::{
    mem::size_of,
    os::fd::{AsRawFd, BorrowedFd},
};

use rustix::io::Errno;

use super::checked;

/// What to change on a mount.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MountChange {
    /// `MOUNT_ATTR_*` to set.
    pub(crate) set: u64,
    /// `MS_PRIVATE`, `MS_SLAVE`..., or 0 to leave propagation as it is.
    pub(crate) propagation: u64,
    /// The mounts below it as well.
    pub(crate) recursive: bool,
}

/// Changes the mount that `mount` is the root of.
///
/// # Errors
/// The errno of `mount_setattr(2)`; nothing has changed then.
pub(crate) fn change(mount: BorrowedFd<'_>, change: MountChange) -> Result<(), Errno> {
    let attributes = libc::mount_attr {
        attr_set: change.set,
        attr_clr: 0,
        propagation: change.propagation,
        userns_fd: 0,
    };
    let recursive = if change.recursive {
        libc::AT_RECURSIVE
    } else {
        0
    };
    // SAFETY: the empty path is NUL-terminated and the attributes outlive the call.
    checked(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | recursive,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    })
    .map(drop)
}
