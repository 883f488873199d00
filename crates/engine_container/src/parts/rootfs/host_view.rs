//! The layer `/`: a throw-away view of the host's own files.
//!
//! An overlay shows one file system, not what is mounted below it. So where the host has file systems of their own at
//! the usual places of a system (`/usr`, `/var`, `/home`...), each gets an overlay of its own. `/proc`, `/sys` and
//! `/dev` come fresh in any case; anything else that is mounted on the host (`/run`, `/mnt/...`) is seen as the
//! directory below it.

use std::os::fd::{AsFd, OwnedFd};

use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, StatxAttributes, StatxFlags, openat2, statx},
    io::Errno,
};

use super::{
    Covers, Root, memory, open_path,
    overlay::{Overlays, make_directory, mount_read_only, part_name, path_of},
};
use crate::{
    config::PARTS_OF_A_SYSTEM,
    failure::{Attempt, StepError},
    parts::place,
    spec::ViewSpec,
    steps,
};

/// The host's root as an overlay without anything above it: overlayfs refuses layers that are inside each other, and
/// every directory is inside the root. Mounted in a file system that covers `covered`.
pub(super) fn as_file_system_of_its_own(
    root: &OwnedFd,
    covered: &OwnedFd,
) -> Result<OwnedFd, StepError> {
    let step = "making a view of the host's root";
    let staging = memory(covered)?;
    for name in ["empty", "root"] {
        make_directory(staging.as_fd(), name).step(step)?;
    }
    let open = |name| place::open(staging.as_fd(), name).step(step);
    let root = root.try_clone().step(step)?;
    mount_read_only(&[open("empty")?, root], &path_of(&open("root")?)).step(step)?;
    open("root")
}

/// The file systems that the host has at usual places of a system, and these places.
pub(crate) fn parts_of_host() -> Result<Vec<(String, OwnedFd)>, StepError> {
    let step = "looking for a file system at";
    let mut parts = Vec::new();
    for path in PARTS_OF_A_SYSTEM {
        if is_mount_point(path).step_at(step, path)? {
            parts.push((path.to_owned(), open_path(path).step_at(step, path)?));
        }
    }
    Ok(parts)
}

/// Adds a view of each of `parts`. `host` says which of `layers` is the host's root; those above it cover the parts as
/// well, those below are covered.
pub(super) fn add_parts(
    overlays: &Overlays,
    root: &Root,
    layers: &[OwnedFd],
    host: usize,
    parts: &[(String, OwnedFd)],
) -> Result<(), StepError> {
    let step = "adding a view of the host's";
    for (path, host_part) in parts {
        // Where a layer has something else in its place, the host's is not to be seen.
        let place = match directory_in(&root.directory, path) {
            Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => continue,
            answer => answer.step_at(step, &**path)?,
        };
        let mut merged = Vec::new();
        for (index, layer) in layers.iter().enumerate() {
            if index == host {
                let part = host_part.try_clone();
                merged.push(part.step_at(step, &**path)?);
            } else if let Ok(part) = directory_in(layer, path) {
                merged.push(part);
            }
        }
        overlays
            .mount_part(&part_name(path), &merged, &path_of(&place))
            .step_at(step, &**path)?;
    }
    Ok(())
}

/// Adds the tree that a document asks for, `host` being that on the host. Where no overlay can show it, its place stays
/// empty.
pub(super) fn add_tree(
    overlays: &Overlays,
    root: &Root,
    view: &ViewSpec,
    covers: &Covers,
    host: OwnedFd,
) -> Result<(), StepError> {
    let step = "adding a view of the host's";
    let Some(tree) = &view.tree else {
        return Ok(());
    };
    let path = &*tree.source.path;
    let place = match directory_in(&root.directory, path) {
        // A scratch that was kept has something else in its place.
        Err(errno @ (Errno::NOENT | Errno::LOOP | Errno::NOTDIR)) => {
            steps::warn(format!(
                "left the HostDirectory out: the scratch has something else there: {errno}"
            ));
            return Ok(());
        }
        place => place.step_at(step, path)?,
    };
    let mut layers = match &covers.tree {
        Some(cover) => cover.over("/").step_at(step, path)?,
        None => Vec::new(),
    };
    layers.push(host);
    match overlays.mount_part(&part_name(path), &layers, &path_of(&place)) {
        Err(errno @ (Errno::INVAL | Errno::OPNOTSUPP | Errno::NODEV)) => {
            steps::warn(format!(
                "left the HostDirectory out: no overlay can show it: {errno}"
            ));
            Ok(())
        }
        answer => answer.step_at(step, path),
    }
}

/// A directory of a layer, no symbolic link on the way.
fn directory_in(layer: &OwnedFd, path: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
    openat2(layer, path, flags, Mode::empty(), resolve)
}

fn is_mount_point(path: &str) -> Result<bool, Errno> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    match statx(CWD, path, flags, StatxFlags::empty()) {
        Ok(found) => Ok(found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
        Err(errno) => Err(errno),
    }
}
