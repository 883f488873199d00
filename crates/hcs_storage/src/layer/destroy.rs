//! A layer is deleted: first it loses its name, so that it is there whole or not at all.

use std::{
    fs,
    os::{
        fd::{AsFd as _, AsRawFd as _},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

use super::{
    mounts,
    remove::remove_at,
    staging,
    writable::{is_attached, lock, open},
};
use crate::{Refusal, StorageError};

/// Deletes the layer at `path`, which may be a writable one. Nothing that a link or a mount in it leads to is touched.
/// What a kill leaves beside it, the next import or deletion there removes.
///
/// # Errors
/// There is none, it is attached, something is mounted in it, a container uses it as its scratch, or it cannot be
/// removed.
pub fn destroy(path: &Path) -> Result<(), StorageError> {
    let shown = path.as_os_str().as_bytes();
    let failed = |action, errno| StorageError::step(action, shown, errno);
    let refused = |refusal| Err(StorageError::refused(shown, refusal));
    let own = open(path)?;
    if is_attached(own.as_fd(), path)? {
        return refused(Refusal::Attached);
    }
    let locked = lock(&own, path)?;
    let step = "finding what is mounted in";
    let real = fs::read_link(format!("/proc/self/fd/{}", own.as_raw_fd()));
    let real = real.map_err(|error| StorageError::stream(step, &path.to_string_lossy(), error))?;
    let inside = mounts::below(real.as_os_str().as_bytes());
    if let Some(point) = inside.map_err(|errno| failed(step, errno))? {
        let point = crate::error::shown(&point);
        return refused(Refusal::HasMounts { point });
    }
    let (parent, aside) = staging::set_aside(path)?;
    // Under the other name a sweep leaves it alone, as long as it is locked.
    let removed = remove_at(parent.as_fd(), &aside).map_err(|errno| failed("removing", errno));
    drop(locked);
    removed
}
