//! Places inside a container's root.
//!
//! The root's contents are not trusted: a layer may hold symbolic links that lead out of it. Every path is therefore
//! resolved by the kernel with the container's root as `/` (`openat2(2)`, `RESOLVE_IN_ROOT`).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::{
    fs::{FileType, Mode, OFlags, ResolveFlags, fstat, mkdirat, mknodat, openat2},
    io::Errno,
};

/// What a mount point has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A directory, to mount a directory on.
    Directory,
    /// Anything else.
    File,
}

/// Opens an existing place, following symbolic links inside the root only.
///
/// # Errors
/// The errno of `openat2(2)`.
pub(crate) fn open(root: BorrowedFd<'_>, path: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    loop {
        match openat2(root, path, flags, Mode::empty(), resolve) {
            // Something was renamed on the way; the kernel could not tell whether it stayed inside the root.
            Err(Errno::AGAIN) => {}
            answer => return answer,
        }
    }
}

/// Opens a place, making it and the directories on its way where they do not exist.
///
/// # Errors
/// The errno of the first call that failed; `ENOTDIR` or `EISDIR` when the place exists and is of the other kind.
pub(crate) fn open_or_make(root: BorrowedFd<'_>, path: &str, kind: Kind) -> Result<OwnedFd, Errno> {
    match open(root, path) {
        Ok(place) => check_kind(place, kind),
        Err(Errno::NOENT) => {
            make(root, path.trim_end_matches('/'), kind)?;
            check_kind(open(root, path)?, kind)
        }
        Err(errno) => Err(errno),
    }
}

/// Opens `path` below `directory`, a file system that the container's image has no part in: no link is followed, and
/// nothing above it can be reached.
///
/// # Errors
/// The errno of `openat2(2)`.
pub(crate) fn open_own(
    directory: BorrowedFd<'_>,
    path: &str,
    flags: OFlags,
) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    loop {
        match openat2(directory, path, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN) => {}
            answer => return answer,
        }
    }
}

/// Opens the directory `name` in the root itself, which is made where there is none, to mount a file system of ours on.
/// A symbolic link is none: the paths `/proc`, `/sys` and `/dev` shall lead to what is mounted there, and not to what
/// an image and something mapped make of them.
///
/// # Errors
/// The errno of the first call that failed; `ELOOP` for a link, `ENOTDIR` for anything else that is no directory.
pub(crate) fn plain_directory(root: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    match open_own(root, name, flags) {
        Err(Errno::NOENT) => {
            mkdirat(root, name, Mode::from_raw_mode(0o755))?;
            open_own(root, name, flags)
        }
        answer => answer,
    }
}

/// Makes the last component of `path`, after its parents.
fn make(root: BorrowedFd<'_>, path: &str, kind: Kind) -> Result<(), Errno> {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    let parent = match parent.trim_end_matches('/') {
        "" => open(root, "/")?,
        parent => open_or_make(root, parent, Kind::Directory)?,
    };
    match kind {
        Kind::Directory => mkdirat(parent.as_fd(), name, Mode::from_raw_mode(0o755)),
        Kind::File => mknodat(
            parent.as_fd(),
            name,
            FileType::RegularFile,
            Mode::from_raw_mode(0o644),
            0,
        ),
    }
}

fn check_kind(place: OwnedFd, kind: Kind) -> Result<OwnedFd, Errno> {
    let directory = FileType::from_raw_mode(fstat(&place)?.st_mode).is_dir();
    match (kind, directory) {
        (Kind::Directory, false) => Err(Errno::NOTDIR),
        (Kind::File, true) => Err(Errno::ISDIR),
        _ => Ok(place),
    }
}
