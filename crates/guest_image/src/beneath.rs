//! What is in a directory to which a container may write: all is opened below a descriptor, and no link is followed.

use std::{
    fs::File,
    os::fd::{AsRawFd as _, OwnedFd},
    path::PathBuf,
};

use rustix::{
    fs::{FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat2},
    io::Errno,
    path::Arg,
};

/// What has the name `place` below a directory, not by way of a link. A link itself is opened with `PATH` alone.
///
/// # Errors
/// It is not there, or a directory on the way is a link.
pub(crate) fn below(root: &OwnedFd, place: impl Arg, flags: OFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    openat2(root, place, flags, Mode::empty(), resolve)
}

/// A directory below another one.
///
/// # Errors
/// As for [`below`], or it is none.
pub(crate) fn folder_below(root: &OwnedFd, place: impl Arg) -> Result<OwnedFd, Errno> {
    below(root, place, OFlags::RDONLY | OFlags::DIRECTORY)
}

/// A regular file below a directory, for reading. What another program put in its place is not waited for.
///
/// # Errors
/// As for [`below`], or it is none.
pub(crate) fn file_below(root: &OwnedFd, place: impl Arg) -> Result<File, Errno> {
    let opened = below(root, place, OFlags::RDONLY | OFlags::NONBLOCK)?;
    match is_file(&fstat(&opened)?) {
        true => Ok(opened.into()),
        false => Err(Errno::INVAL),
    }
}

/// Whether that is a regular file.
pub(crate) fn is_file(about: &Stat) -> bool {
    FileType::from_raw_mode(about.st_mode).is_file()
}

/// A path of what is open, for as long as it is.
pub(crate) fn path_of(descriptor: &OwnedFd) -> PathBuf {
    format!("/proc/self/fd/{}", descriptor.as_raw_fd()).into()
}
