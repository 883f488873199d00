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
    set(
        mount,
        change,
        libc::mount_attr {
            attr_set: change.set,
            attr_clr: 0,
            propagation: change.propagation,
            userns_fd: 0,
        },
    )
}

/// Has files of the mount, which is attached nowhere yet, belong to the ids of `namespace` that have the numbers which
/// are on the disk: 0 to the namespace's root. Ids that the namespace has not belong to `nobody`.
///
/// # Errors
/// The errno of `mount_setattr(2)`: `EINVAL` for a file system that cannot do that.
pub(crate) fn shift_owners(
    mount: BorrowedFd<'_>,
    namespace: BorrowedFd<'_>,
    recursive: bool,
) -> Result<(), Errno> {
    let change = MountChange {
        recursive,
        ..MountChange::default()
    };
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_IDMAP,
        attr_clr: 0,
        propagation: 0,
        userns_fd: u64::from(namespace.as_raw_fd().cast_unsigned()),
    };
    set(mount, change, attributes)
}

fn set(
    mount: BorrowedFd<'_>,
    change: MountChange,
    attributes: libc::mount_attr,
) -> Result<(), Errno> {
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
