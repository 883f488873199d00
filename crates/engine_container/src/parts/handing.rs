//! What the service makes and hands over to a container with a user namespace: see `handed.rs`.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{Gid, Uid, chownat},
    io::Errno,
};

use super::{
    handed::{UNSHIFTABLE, shift, view},
    mapped,
    rootfs::{self, overlay},
    scratch_image,
};
use crate::{
    failure::{Attempt, StepError},
    spec::{LaunchSpec, RootSpec, TreeSpec, UserSpec},
};

/// The service's side: makes them all, in the order that [`UserSpec::handed`] tells. `namespace` is the container's,
/// `root` the host's ids of its root; `all_shifted`: a file system that cannot shift owners fails at [`UNSHIFTABLE`].
/// `cover` is what covers the root of the view, if it is made, with owners shifted.
pub(crate) fn make(
    spec: &LaunchSpec,
    namespace: BorrowedFd<'_>,
    root: (u32, u32),
    all_shifted: bool,
    cover: Option<OwnedFd>,
) -> Result<(Vec<OwnedFd>, UserSpec), StepError> {
    let shown = |directory: &OwnedFd, path: &str| {
        let (view, shifted) = view(directory, namespace).step_at("making a view of", path)?;
        match all_shifted && !shifted {
            true => Err(StepError::new(UNSHIFTABLE, Errno::OPNOTSUPP).at(path)),
            false => Ok(view),
        }
    };
    let mut mounts = Vec::new();
    for layer in &spec.root.layers {
        mounts.push(shown(&layer.open()?, &layer.path)?);
    }
    mounts.push(scratch(&spec.root, namespace, root)?);
    let parts = if spec
        .root
        .layers
        .iter()
        .any(|layer| rootfs::is_host(&layer.path))
    {
        let mut parts = rootfs::parts_of_host()?;
        parts.retain(|(path, _)| !rootfs::leaves_out(&spec.root, path));
        parts
    } else {
        Vec::new()
    };
    for (path, part) in &parts {
        mounts.push(shown(part, path)?);
    }
    let tree = spec.root.view.as_ref().and_then(|view| view.tree.as_ref());
    if let Some(TreeSpec { source, .. }) = tree {
        mounts.push(shown(&source.open()?, &source.path)?);
    }
    mounts.extend(cover);
    for taken in mapped::open(&spec.mapped)? {
        taken.shift_into(namespace)?;
        mounts.push(taken.into_tree());
    }
    let user = UserSpec {
        many: true,
        handed: true,
        parts: parts.into_iter().map(|(path, _)| path).collect(),
    };
    Ok((mounts, user))
}

/// The directory for what the container writes. Where owners cannot be shifted it is given to the container's root,
/// unless it outlives it: the next container has other ids.
fn scratch(
    spec: &RootSpec,
    namespace: BorrowedFd<'_>,
    (user, group): (u32, u32),
) -> Result<OwnedFd, StepError> {
    let step = "making a view of";
    let source = &spec.scratch;
    let path = source.path.as_str();
    let (directory, scratch, shifted) = match spec.limit {
        Some(limit) => {
            let image = scratch_image::make(Path::new(path), limit)?;
            let shifted = shift(image.as_fd(), namespace)?;
            (image.try_clone().step_at(step, path)?, image, shifted)
        }
        None => {
            let directory = source.open()?;
            let (scratch, shifted) = view(&directory, namespace).step_at(step, path)?;
            (directory, scratch, shifted)
        }
    };
    if shifted {
        return Ok(scratch);
    }
    if spec.keep {
        let step = "shifting owners, which a scratch that is kept needs, on the file system of";
        return Err(StepError::new(step, Errno::OPNOTSUPP)
            .at(path)
            .asked_by(&source.pointer));
    }
    let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
    let flags = rustix::fs::AtFlags::EMPTY_PATH;
    let step = "giving the container";
    chownat(&directory, "", Some(user), Some(group), flags).step_at(step, path)?;
    overlay::give(directory.as_fd(), user, group).step_at(step, path)?;
    Ok(scratch)
}
