//! The lowest layer: what our file systems and the files of names are mounted on, where the layers have nothing there.
//!
//! Without it such a place would be made in the scratch, and the directory that it is in copied there. On a disk that
//! takes longer than all mounts of a container together, and as long again when the scratch is removed. This is a
//! directory in memory with empty files and directories, below all layers: what any of them has comes first.
//!
//! A scratch that is kept gets the places as ever: the layers below what is kept stay the same.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, mkdirat, mknodat};

use super::cover::with_exact_modes;
use crate::{
    failure::{Attempt, StepError},
    parts::place,
    spec::{LaunchSpec, NamesSpec},
};

/// What it is to be made for, if a root is to have one: the host's own files do without.
pub(super) fn of(launch: &LaunchSpec) -> Option<&NamesSpec> {
    let root = &launch.root;
    let sees_host = root.layers.iter().any(|layer| super::is_host(&layer.path));
    let is_of_use = !root.keep && !sees_host;
    launch.names.as_ref().filter(|_| is_of_use)
}

/// Makes it for `names` in `place`, an empty directory in memory.
pub(super) fn make(place: BorrowedFd<'_>, names: &NamesSpec) -> Result<OwnedFd, StepError> {
    let step = "making a layer for what mounts need";
    let made = with_exact_modes(|| {
        for name in ["proc", "sys", "dev", NamesSpec::DIRECTORY] {
            mkdirat(place, name, Mode::from_raw_mode(0o755))?;
        }
        let directory = place::open(place, NamesSpec::DIRECTORY)?;
        names.files().try_for_each(|name| {
            let mode = Mode::from_raw_mode(0o644);
            mknodat(directory.as_fd(), name, FileType::RegularFile, mode, 0)
        })
    });
    made.and_then(|()| place::open(place, ".")).step(step)
}
