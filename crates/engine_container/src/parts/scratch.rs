//! The directory that takes what a container writes.

use std::{
    fs,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{
        AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags, flock, mkdirat, open, openat,
        renameat, unlinkat,
    },
    io::Errno,
};

use crate::failure::{Attempt, StepError};

/// JSON pointer of the property that names a scratch to keep.
pub(crate) const POINTER: &str = "/Container/Storage/Path";

/// Makes the scratch directory `<root>/<runtime id>`, and `root` where it does not exist; only root may look inside.
pub(crate) fn make(root: &Path, directory: &Path) -> Result<(), StepError> {
    let name = |path: &Path| path.display().to_string();
    fs::create_dir_all(root).step_at("making the scratch root", name(root))?;
    mkdirat(CWD, directory, Mode::RWXU).step_at("making the scratch", name(directory))
}

/// Takes a scratch that is kept for one container, as long as the answer is held: two that write to the same one would
/// ruin it. `EBUSY` when another container has it.
pub(crate) fn lock(directory: &Path) -> Result<OwnedFd, StepError> {
    let name = || directory.display().to_string();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = open(directory, flags, Mode::empty()).step_at("opening", name())?;
    match flock(&opened, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Err(Errno::BUSY),
        answer => answer,
    }
    .step_at("taking, while no other container has it,", name())
    .map_err(|error| error.asked_by(POINTER))?;
    Ok(opened)
}

/// Removes a scratch directory and all below it. Again is fine.
///
/// The container's processes made what is in it, so nothing is assumed: symbolic links are not followed, and a tree
/// of any depth takes neither stack nor descriptors, because every directory that is not empty is first moved up to
/// the top.
pub(crate) fn undo(directory: &Path) -> Result<(), StepError> {
    let step = "removing the scratch";
    let path = || directory.display().to_string();
    match remove_tree(directory) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(StepError::new(step, errno).at(path())),
    }
}

fn remove_tree(path: &Path) -> Result<(), Errno> {
    let top = open_directory(CWD, path)?;
    let mut moved: u64 = 0;
    // Each round empties every directory that was there at its start; what those held is there in the next round.
    while !empty_top(&top, &mut moved)? {}
    unlinkat(CWD, path, AtFlags::REMOVEDIR)
}

/// Removes the entries of `top`, except directories that were moved into it meanwhile; `true` when it is empty.
fn empty_top(top: &OwnedFd, moved: &mut u64) -> Result<bool, Errno> {
    let mut found = false;
    for entry in Dir::read_from(top)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        found = true;
        if remove_entry(top.as_fd(), name, entry.file_type())? {
            continue;
        }
        let inner = open_directory(top.as_fd(), name)?;
        hoist(&inner, top, moved)?;
        unlinkat(top, name, AtFlags::REMOVEDIR)?;
    }
    Ok(!found)
}

/// Empties `inner`: removes what can be removed and moves directories that are not empty into `top`.
fn hoist(inner: &OwnedFd, top: &OwnedFd, moved: &mut u64) -> Result<(), Errno> {
    for entry in Dir::read_from(inner)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        while !remove_entry(inner.as_fd(), name, entry.file_type())? {
            let free = format!(".hcs-removed-{moved}");
            *moved += 1;
            match renameat(inner, name, top, free.as_str()) {
                Ok(()) => break,
                // A container may have guessed the name: take the next.
                Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
    Ok(())
}

/// Removes one entry; `false` when it is a directory that is not empty.
fn remove_entry(
    directory: BorrowedFd<'_>,
    name: &std::ffi::CStr,
    kind: FileType,
) -> Result<bool, Errno> {
    let flags = if kind.is_dir() {
        AtFlags::REMOVEDIR
    } else {
        AtFlags::empty()
    };
    match unlinkat(directory, name, flags) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        // Some file systems do not tell the kind of an entry.
        Err(Errno::ISDIR) => remove_entry(directory, name, FileType::Directory),
        Err(errno) => Err(errno),
    }
}

fn open_directory(
    directory: BorrowedFd<'_>,
    name: impl rustix::path::Arg,
) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(directory, name, flags, Mode::empty())
}
