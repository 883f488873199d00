//! The root file system: the layers, read-only, below one directory that takes what the container writes (overlayfs).
//!
//! The layer `/` is a throw-away view of the host's own files. An overlay shows one file system, not what is mounted
//! below it: `/proc`, `/sys` and `/dev` come fresh in any case ([`super::mounts`]), other mounts of the host (`/run`,
//! a separate `/home`) appear as the empty directories they are mounted on.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::{
    fs::{Mode, OFlags, mkdirat, open},
    io::Errno,
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag,
        fsconfig_set_string, fsmount, fsopen,
    },
};

use super::{mount, place};
use crate::{
    child::spec::{RootSpec, Source},
    failure::{Attempt, StepError},
};

/// The container's root, mounted but not yet `/`.
#[derive(Debug)]
pub(crate) struct Root {
    /// Its directory, on the topmost mount.
    pub(crate) directory: OwnedFd,
}

/// Mounts the root file system on top of the host's, of which the calling process must have a private view.
pub(crate) fn apply(spec: &RootSpec) -> Result<Root, StepError> {
    let layers = open_layers(&spec.layers)?;
    let scratch = open_directory(&spec.scratch)?;
    let overlay = match overlay(&layers, &scratch, spec.keep) {
        Err(Errno::INVAL | Errno::OPNOTSUPP) if !spec.keep => {
            // The scratch's file system cannot hold an overlay's upper directory (another overlay, NFS, FAT).
            let memory = memory_scratch(&spec.scratch)?;
            overlay(&layers, &memory, false)
        }
        answer => answer,
    };
    let overlay = overlay.map_err(|errno| {
        let error = StepError::new("mounting the layers over", errno).at(&*spec.scratch.path);
        error.asked_by("/Container/Storage")
    })?;
    mount::attach_at(overlay.as_fd(), "/").step("attaching the root file system")?;
    let root = Root { directory: overlay };
    hide(&root, spec.hide.as_deref())?;
    Ok(root)
}

fn open_layers(layers: &[Source]) -> Result<Vec<OwnedFd>, StepError> {
    layers.iter().map(open_directory).collect()
}

fn open_directory(source: &Source) -> Result<OwnedFd, StepError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    open(source.path.as_str(), flags, Mode::empty())
        .step_at("opening", &*source.path)
        .map_err(|error| error.asked_by(&source.pointer))
}

/// An overlay that is mounted nowhere yet. `keep` asks for the scratch to be safe on disk when files are synced.
fn overlay(layers: &[OwnedFd], scratch: &OwnedFd, keep: bool) -> Result<OwnedFd, Errno> {
    make_directory(scratch.as_fd(), "upper", 0o755)?;
    make_directory(scratch.as_fd(), "work", 0o700)?;
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let context = context.as_fd();
    fsconfig_set_string(context, "source", "hcs")?;
    set_layers(context, layers)?;
    fsconfig_set_string(context, "upperdir", format!("{}/upper", path_of(scratch)))?;
    fsconfig_set_string(context, "workdir", format!("{}/work", path_of(scratch)))?;
    if !keep {
        // What vanishes with the container needs no sync: fsync in it is free then (Linux 5.10).
        let _older_kernel = fsconfig_set_flag(context, "volatile");
    }
    fsconfig_create(context)?;
    fsmount(
        context,
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::empty(),
    )
}

/// Names the layers, topmost first: one by one where the kernel takes that (Linux 6.8), else as one list.
fn set_layers(context: BorrowedFd<'_>, layers: &[OwnedFd]) -> Result<(), Errno> {
    for (index, layer) in layers.iter().enumerate() {
        match fsconfig_set_string(context, "lowerdir+", path_of(layer)) {
            Err(Errno::INVAL) if index == 0 => {
                let list: Vec<String> = layers.iter().map(path_of).collect();
                return fsconfig_set_string(context, "lowerdir", list.join(":"));
            }
            answer => answer?,
        }
    }
    Ok(())
}

/// A path without anything an option could choke on.
fn path_of(directory: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", directory.as_raw_fd())
}

fn make_directory(parent: BorrowedFd<'_>, name: &str, mode: u32) -> Result<(), Errno> {
    match mkdirat(parent, name, Mode::from_raw_mode(mode)) {
        Err(Errno::EXIST) => Ok(()),
        answer => answer,
    }
}

/// A scratch in memory, charged to the container, mounted over the one that cannot be used.
fn memory_scratch(scratch: &Source) -> Result<OwnedFd, StepError> {
    let step = "mounting a scratch in memory on";
    let path = scratch.path.as_str();
    let memory = mount::create("tmpfs", &[("mode", "0700")], MountAttrFlags::empty());
    let memory = memory.step_at(step, path)?;
    mount::attach_at(memory.as_fd(), path).step_at(step, path)?;
    Ok(memory)
}

/// Covers the directory that holds all containers' scratch, where this root shows it.
fn hide(root: &Root, directory: Option<&str>) -> Result<(), StepError> {
    let Some(path) = directory else {
        return Ok(());
    };
    let step = "hiding";
    match place::open(root.directory.as_fd(), path) {
        // Not there, or refused by the overlay itself.
        Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => Ok(()),
        Err(errno) => Err(StepError::new(step, errno).at(path)),
        Ok(place) => {
            let attributes = mount::PLAIN | MountAttrFlags::MOUNT_ATTR_RDONLY;
            let empty = mount::create("tmpfs", &[("mode", "0755"), ("size", "4k")], attributes);
            let empty = empty.step_at(step, path)?;
            mount::attach(empty.as_fd(), place.as_fd()).step_at(step, path)
        }
    }
}
