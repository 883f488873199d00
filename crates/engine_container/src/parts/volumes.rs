//! Volumes: directories of the root that are mounts of their own.
//!
//! A volume is a bind of the root's own directory over itself. So it begins with what the layers have there. What is
//! written goes to the scratch, and away with that. It can be written to in a root that is read-only, because each
//! mount says for itself whether it is. The root itself is no volume: a second view of it would cover the root, and
//! could be written to where that cannot.

use std::os::fd::{AsFd as _, OwnedFd};

use hcs_schema::{Failure, HResult};
use rustix::{fs::fstat, io::Errno};

use super::{
    mapped, mount,
    place::{self, Kind},
    rootfs::Root,
};
use crate::{
    failure::{Attempt, StepError, TAKING_VOLUME},
    spec::VolumeSpec,
    steps::done,
};

/// The most volumes of a container: each is a mount, with all that are below it.
const MOST: usize = 256;

/// The volumes at `paths`, in the order to be mounted: what is in something else comes after it.
///
/// # Errors
/// A place is none, or there are too many.
pub(crate) fn check(paths: &[String]) -> Result<Vec<VolumeSpec>, Failure> {
    if paths.len() > MOST {
        let message = format!("{} volumes are given; {MOST} are possible", paths.len());
        let failure = Failure::new(HResult::NOT_SUPPORTED, message.clone());
        return Err(failure.cause_at("/Container/Volumes", message));
    }
    let mut specs = Vec::with_capacity(paths.len());
    for (index, path) in paths.iter().enumerate() {
        let pointer = format!("/Container/Volumes/{index}");
        let target = mapped::check_target(path, &pointer)?;
        specs.push(VolumeSpec { target, pointer });
    }
    specs.sort_by_key(|spec| mapped::depth(&spec.target));
    Ok(specs)
}

/// Views of the directories with all that is mounted below them, taken before the root may become read-only, and before
/// any of them is mounted. Those that are missing are made.
pub(crate) fn take(root: &Root, specs: &[VolumeSpec]) -> Result<Vec<OwnedFd>, StepError> {
    let view = |spec: &VolumeSpec| {
        let target = spec.target.as_str();
        place::open_or_make(root.directory.as_fd(), target, Kind::Directory)
            .and_then(|place| below(root, place))
            .and_then(|place| mount::clone_tree(place.as_fd(), "", true))
            .step_at(TAKING_VOLUME, target)
            .map_err(|error| error.asked_by(&spec.pointer))
    };
    specs.iter().map(view).collect()
}

/// Mounts the views, before anything but the root's own parts is mounted in the root.
pub(crate) fn apply(root: &Root, specs: &[VolumeSpec], views: &[OwnedFd]) -> Result<(), StepError> {
    for (spec, view) in specs.iter().zip(views) {
        let target = spec.target.as_str();
        place::open(root.directory.as_fd(), target)
            .and_then(|place| below(root, place))
            .and_then(|place| mount::attach(view.as_fd(), place.as_fd()))
            .step_at("mounting the volume", target)
            .map_err(|error| error.asked_by(&spec.pointer))?;
    }
    if !specs.is_empty() {
        done("mounted volumes");
    }
    Ok(())
}

/// `place`, unless that is the directory of the root, where a link of a layer may lead.
///
/// # Errors
/// `EBUSY` for the root; the errno of `fstat(2)`.
fn below(root: &Root, place: OwnedFd) -> Result<OwnedFd, Errno> {
    let (own, found) = (fstat(&root.directory)?, fstat(&place)?);
    if (own.st_dev, own.st_ino) == (found.st_dev, found.st_ino) {
        return Err(Errno::BUSY);
    }
    Ok(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_volumes_than_are_possible_are_refused() {
        let mut paths: Vec<String> = (0..MOST).map(|number| format!("/v{number}")).collect();
        assert_eq!(check(&paths).unwrap().len(), MOST);
        paths.push("/v".to_owned());
        let failure = check(&paths).unwrap_err();
        let pointer = failure.causes[0].pointer.as_deref();
        assert_eq!(pointer, Some("/Container/Volumes"));
    }
}
