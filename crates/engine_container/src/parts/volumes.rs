//! Volumes: directories of the root that are mounts of their own.
//!
//! A volume is a bind of the root's own directory over itself. So it begins with what the layers have there. What is
//! written goes to the scratch, and away with that. It can be written to in a root that is read-only, because each
//! mount says for itself whether it is.

use std::os::fd::{AsFd as _, OwnedFd};

use hcs_schema::Failure;

use super::{
    mapped, mount,
    place::{self, Kind},
    rootfs::Root,
};
use crate::{
    failure::{Attempt, StepError},
    spec::VolumeSpec,
    steps::done,
};

/// The volumes at `paths`, in the order to be mounted: what is in something else comes after it.
///
/// # Errors
/// A place is none.
pub(crate) fn check(paths: &[String]) -> Result<Vec<VolumeSpec>, Failure> {
    let mut specs = Vec::with_capacity(paths.len());
    for (index, path) in paths.iter().enumerate() {
        let pointer = format!("/Container/Volumes/{index}");
        let target = mapped::check_target(path, &pointer)?;
        specs.push(VolumeSpec { target, pointer });
    }
    specs.sort_by_key(|spec| mapped::depth(&spec.target));
    Ok(specs)
}

/// Views of the directories, taken before the root may become read-only. Those that are missing are made.
pub(crate) fn take(root: &Root, specs: &[VolumeSpec]) -> Result<Vec<OwnedFd>, StepError> {
    let view = |spec: &VolumeSpec| {
        let target = spec.target.as_str();
        place::open_or_make(root.directory.as_fd(), target, Kind::Directory)
            .and_then(|place| mount::clone_tree(place.as_fd(), "", false))
            .step_at("taking the directory of the volume", target)
            .map_err(|error| error.asked_by(&spec.pointer))
    };
    specs.iter().map(view).collect()
}

/// Mounts the views, before anything else is mounted in the root.
pub(crate) fn apply(root: &Root, specs: &[VolumeSpec], views: &[OwnedFd]) -> Result<(), StepError> {
    for (spec, view) in specs.iter().zip(views) {
        let target = spec.target.as_str();
        place::open(root.directory.as_fd(), target)
            .and_then(|place| mount::attach(view.as_fd(), place.as_fd()))
            .step_at("mounting the volume", target)
            .map_err(|error| error.asked_by(&spec.pointer))?;
    }
    if !specs.is_empty() {
        done("mounted volumes");
    }
    Ok(())
}
