//! Disks that are mounted, with their files in a tree that a container is to get writable: its root would write to the
//! file below the kernel.
//!
//! The kernel tells: each mounted disk has its place ([`super::volume`]), which names the file, and the loop device
//! below it has the file's path. A disk that is mounted in another mount namespace alone is not seen.

use std::{
    ffi::OsStr,
    fs, io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, Mode, OFlags, Stat, fstat, major, minor, openat, stat},
    io::Errno,
};

use super::volume::{PLACES, name};

/// Directories above a file that are looked at.
const DEEPEST: usize = 256;

/// The file of a disk that is mounted in this mount namespace, in `tree`: a directory, or the file itself.
///
/// # Errors
/// What was refused.
pub fn mounted_in(tree: impl AsFd) -> io::Result<Option<PathBuf>> {
    let places = match fs::read_dir(PLACES) {
        Ok(places) => places,
        // An ordinary user mounts none, and sees none of root's.
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
            ) =>
        {
            return Ok(None);
        }
        Err(e) => return Err(e),
    };
    let tree = fstat(tree)?;
    for place in places {
        let place = place?;
        let Some(file) = file_of(&place.path())? else {
            continue;
        };
        // The place has the name of its file, which no path is needed for.
        let is_itself = place.file_name() == *name(&tree);
        if is_itself || is_in(&file, &place.file_name(), &tree)? {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

/// The file of the disk that is mounted at `place`; none where none is, or its file has no name.
fn file_of(place: &Path) -> io::Result<Option<PathBuf>> {
    let Ok(found) = stat(place) else {
        return Ok(None);
    };
    let device = (major(found.st_dev), minor(found.st_dev));
    let backing = format!("/sys/dev/block/{}:{}/loop/backing_file", device.0, device.1);
    match fs::read(backing) {
        // A name is any bytes; one line end is the kernel's.
        Ok(text) => {
            let path = text.strip_suffix(b"\n").unwrap_or(&text);
            Ok(Some(PathBuf::from(OsStr::from_bytes(path))))
        }
        // No disk is mounted there: the directory is that of an earlier one.
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Whether the file, which is that of the place `called` so, is below `tree`. What no path leads to is in no tree: a
/// user may have removed it, and made something else of the directories above it.
fn is_in(file: &Path, called: &OsStr, tree: &Stat) -> Result<bool, Errno> {
    let is_tree = |found: &Stat| (found.st_dev, found.st_ino) == (tree.st_dev, tree.st_ino);
    match stat(file) {
        Ok(found) if *called == *name(&found) => {}
        Ok(_another) => return Ok(false),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ACCESS | Errno::NAMETOOLONG) => {
            return Ok(false);
        }
        Err(errno) => return Err(errno),
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let above = file.parent().unwrap_or(Path::new("/"));
    let mut at: OwnedFd = openat(CWD, above, flags, Mode::empty())?;
    let mut found = fstat(&at)?;
    for _ in 0..DEEPEST {
        if is_tree(&found) {
            return Ok(true);
        }
        let next = openat(&at, "..", flags, Mode::empty())?;
        let above = fstat(&next)?;
        if (above.st_dev, above.st_ino) == (found.st_dev, found.st_ino) {
            return Ok(false);
        }
        (at, found) = (next, above);
    }
    Err(Errno::LOOP)
}
