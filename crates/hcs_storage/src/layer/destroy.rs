//! A layer is deleted: first it loses its name, so that it is there whole or not at all.
//!
//! The layer and the directory that it is in are opened once. What comes to the same path later, while this goes on, is
//! another layer, and stays.

use std::{
    ffi::OsStr,
    fs,
    os::{
        fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

use hcs_wire::holds::Kind;
use rustix::{
    fs::{AtFlags, RenameFlags, fstat, renameat_with, statat, unlinkat},
    io::Errno,
};

use super::{
    mounts,
    remove::empty,
    staging,
    writable::{is_attached, lock, open_in},
};
use crate::{Refusal, StorageError};

/// Deletes the layer at `path`, which may be a writable one. Nothing that a link or a mount in it leads to is touched.
/// What a kill leaves beside it, the next import or deletion there removes.
///
/// # Errors
/// There is none, it is attached, something is mounted in it, a container uses it as its scratch, another directory
/// comes to its place meanwhile, or it cannot be removed.
pub fn destroy(path: &Path) -> Result<(), StorageError> {
    let shown = path.as_os_str().as_bytes();
    let failed = |action, errno| StorageError::step(action, shown, errno);
    let refused = |refusal| Err(StorageError::refused(shown, refusal));
    let name = path.file_name().map(OsStr::as_bytes);
    let name = name.ok_or_else(|| failed("naming the layer", Errno::INVAL))?;
    let parent = staging::open_parent(path);
    let parent = parent.map_err(|errno| failed("opening the parent of", errno))?;
    // What cannot be removed of an earlier call is no reason to fail this one.
    let _left = staging::sweep_in(parent.as_fd());
    let own = open_in(&parent, path)?;
    if is_attached(own.as_fd(), path)? {
        return refused(Refusal::Attached);
    }
    let _locked = lock(&own, path)?;
    let step = "finding what is mounted in";
    let real = fs::read_link(format!("/proc/self/fd/{}", own.as_raw_fd()));
    let real = real.map_err(|error| StorageError::stream(step, &path.to_string_lossy(), error))?;
    let inside = mounts::below(real.as_os_str().as_bytes());
    if let Some(point) = inside.map_err(|errno| failed(step, errno))? {
        let point = crate::error::shown(&point);
        return refused(Refusal::HasMounts { point });
    }
    let aside = take_aside(parent.as_fd(), name, &own);
    let Some(aside) = aside.map_err(|errno| failed("renaming", errno))? else {
        return refused(Refusal::Replaced);
    };
    // Under the other name a sweep leaves it alone, as long as it is locked.
    let removed = empty(own.as_fd()).and_then(|()| unlinkat(&parent, &*aside, AtFlags::REMOVEDIR));
    removed.map_err(|errno| failed("removing", errno))
}

/// Renames `name`, which was `own` when it was opened, and returns how it is called then. What has come to its place
/// keeps its name; none is answered then.
fn take_aside(
    parent: BorrowedFd<'_>,
    name: &[u8],
    own: &OwnedFd,
) -> Result<Option<Vec<u8>>, Errno> {
    // A sweep could remove what has come to the layer's place, before that has its name again. No sweep waits for a
    // layer while it has this lock, so the caller may have locked its own.
    let _unswept = staging::lock(parent, Kind::Shared)?;
    let opened = fstat(own)?;
    let is_own = |name: &[u8]| {
        let found = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW);
        found.map(|found| (found.st_dev, found.st_ino) == (opened.st_dev, opened.st_ino))
    };
    if !is_own(name)? {
        return Ok(None);
    }
    let aside = staging::set_aside(parent, name)?;
    if is_own(&aside)? {
        return Ok(Some(aside));
    }
    renameat_with(parent, &*aside, parent, name, RenameFlags::NOREPLACE)?;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use rustix::fs::Mode;

    use super::*;

    #[test]
    fn what_has_come_to_the_place_of_a_layer_keeps_its_name() {
        let place = tempfile::tempdir().unwrap();
        let (layer, other) = (place.path().join("layer"), place.path().join("other"));
        fs::create_dir(&layer).unwrap();
        fs::create_dir(&other).unwrap();
        fs::write(other.join("kept"), "").unwrap();
        let parent = staging::open_parent(&layer).unwrap();
        let own = open_in(&parent, &layer).unwrap();
        fs::rename(&layer, place.path().join("moved")).unwrap();
        fs::rename(&other, &layer).unwrap();
        assert_eq!(take_aside(parent.as_fd(), b"layer", &own), Ok(None));
        assert!(layer.join("kept").exists());
        // The directory that both were in may be another one by now, too.
        let elsewhere = tempfile::tempdir().unwrap();
        fs::rename(&layer, elsewhere.path().join("layer")).unwrap();
        fs::rename(place.path().join("moved"), &layer).unwrap();
        let aside = take_aside(parent.as_fd(), b"layer", &own).unwrap().unwrap();
        assert!(elsewhere.path().join("layer/kept").exists() && !layer.exists());
        let gone = rustix::fs::openat(&parent, &*aside, rustix::fs::OFlags::PATH, Mode::empty());
        assert!(gone.is_ok());
    }
}
