//! Making and attaching mounts with the file-descriptor based mount API (`fsopen(2)`, `move_mount(2)`).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::{
    io::Errno,
    mount::{
        FsMountFlags, FsOpenFlags, FsPickFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags,
        fsconfig_create, fsconfig_reconfigure, fsconfig_set_flag, fsconfig_set_string, fsmount,
        fsopen, fspick, move_mount, open_tree,
    },
};

/// `nosuid,nodev,noexec`: what file systems without programs are mounted with.
pub(crate) const PLAIN: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID
    .union(MountAttrFlags::MOUNT_ATTR_NODEV)
    .union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// A new file system of `kind`, mounted nowhere yet. Options with an empty value are flags.
///
/// # Errors
/// The errno of the first call that failed.
pub(crate) fn create(
    kind: &str,
    options: &[(&str, &str)],
    attributes: MountAttrFlags,
) -> Result<OwnedFd, Errno> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in options {
        if value.is_empty() {
            fsconfig_set_flag(context.as_fd(), *key)?;
        } else {
            fsconfig_set_string(context.as_fd(), *key, *value)?;
        }
    }
    fsconfig_create(context.as_fd())?;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// Gives a tmpfs another size.
///
/// # Errors
/// The errno of the first call that failed.
pub(crate) fn resize(file_system: BorrowedFd<'_>, size: &str) -> Result<(), Errno> {
    let flags = FsPickFlags::FSPICK_CLOEXEC | FsPickFlags::FSPICK_EMPTY_PATH;
    let context = fspick(file_system, "", flags)?;
    fsconfig_set_string(context.as_fd(), "size", size)?;
    fsconfig_reconfigure(context.as_fd())
}

/// A second view of what is at `path` below `directory`, mounted nowhere yet; with all mounts below it, where
/// `recursive`. An empty path means `directory` itself.
///
/// # Errors
/// The errno of `open_tree(2)`.
pub(crate) fn clone_tree(
    directory: BorrowedFd<'_>,
    path: &str,
    recursive: bool,
) -> Result<OwnedFd, Errno> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    open_tree(directory, path, flags)
}

/// Mounts `mount` on what `target` is.
///
/// # Errors
/// The errno of `move_mount(2)`.
pub(crate) fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<(), Errno> {
    attach_below(mount, target, "")
}

/// Mounts `mount` on `path` below `directory`, or on that itself if the path is empty. For paths that no other process
/// can change.
///
/// # Errors
/// The errno of `move_mount(2)`.
pub(crate) fn attach_below(
    mount: BorrowedFd<'_>,
    directory: BorrowedFd<'_>,
    path: &str,
) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, "", directory, path, flags)
}
