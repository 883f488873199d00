//! The root file system of a container with a user namespace: overlays that the namespace's root mounts.
//!
//! Where the service hands nothing over, the host's own files are put together by [`assembly`].
//!
//! All of it is put together in a file system in memory that covers a directory of the host, since none of them may be
//! writable, or even reached. It goes away with the host's root. Where the service hands everything over, the host's
//! root may be gone by then: that file system is the root itself.

use std::os::fd::{AsFd, OwnedFd};

use rustix::{
    fs::{CWD, Mode, OFlags, openat},
    io::Errno,
    mount::MountAttrFlags,
};

use super::{
    Covers, Root,
    assembly::{self, View},
    bare, cover_layers, host_view, is_host, mount_layers,
    overlay::{Overlays, make_directory},
};
use crate::{
    failure::{Attempt, StepError},
    parts::{handed::Handed, mount, place, scratch_image},
    spec::{LaunchSpec, UserSpec, ViewSpec},
};

/// Where it is put together.
#[derive(Debug)]
pub(crate) struct Staging {
    directory: OwnedFd,
    count: u32,
}

/// Directories that a host has, and that it does not need for what follows.
const COVERED: [&str; 3] = ["/mnt", "/tmp", "/run"];

impl Staging {
    /// Covers a directory of the host.
    pub(crate) fn new() -> Result<Self, StepError> {
        let step = "making a place to put the root together, at /mnt, /tmp or /run";
        let directory = mount::create("tmpfs", &[("mode", "0755")], MountAttrFlags::empty());
        let directory = directory.step(step)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let covered = COVERED
            .into_iter()
            .find_map(|path| openat(CWD, path, flags, Mode::empty()).ok());
        let covered = covered.ok_or_else(|| StepError::new(step, Errno::NOENT))?;
        mount::attach(directory.as_fd(), covered.as_fd()).step(step)?;
        Ok(Self {
            directory,
            count: 0,
        })
    }

    /// Its own directory.
    pub(crate) fn root(&self) -> Result<OwnedFd, StepError> {
        let step = "opening the place to put the root together";
        self.directory.try_clone().step(step)
    }

    /// A new empty directory; its name.
    fn directory(&mut self) -> Result<String, StepError> {
        self.count += 1;
        let name = self.count.to_string();
        make_directory(self.directory.as_fd(), &name).step("making a mount point")?;
        Ok(name)
    }

    /// What covers the view; that of its root may have been handed over.
    fn covers(&mut self, view: &ViewSpec, handed: &mut Handed) -> Result<Covers, StepError> {
        let shared = match view.covered {
            true => Some(self.attach(&handed.take()?)?),
            false => None,
        };
        Covers::make(shared.as_ref(), view, || {
            let name = self.directory()?;
            place::open(self.directory.as_fd(), &name)
                .step("opening a place for what covers the host's files")
        })
    }

    /// Mounts what was handed over: only then may it be a layer.
    fn attach(&mut self, handed: &OwnedFd) -> Result<OwnedFd, StepError> {
        let step = "mounting what the service handed over";
        let name = self.directory()?;
        let place = place::open(self.directory.as_fd(), &name).step(step)?;
        mount::attach(handed.as_fd(), place.as_fd()).step(step)?;
        place::open(self.directory.as_fd(), &name).step(step)
    }
}

/// Mounts the root file system.
pub(super) fn apply(
    launch: &LaunchSpec,
    user: &UserSpec,
    handed: &mut Handed,
    staging: Option<Staging>,
) -> Result<Root, StepError> {
    let spec = &launch.root;
    // Paths first: they may lead through what is covered then.
    let sources = spec.layers.iter().chain([&spec.scratch]);
    let mut opened: Vec<OwnedFd> = sources
        .map(|source| match user.handed {
            true => handed.take(),
            false => super::open_directory(source),
        })
        .collect::<Result<_, _>>()?;
    let tree = spec.view.as_ref().and_then(|view| view.tree.as_ref());
    let mut tree = match (tree, user.handed) {
        (Some(tree), false) => Some(tree.source.open()?),
        _ => None,
    };
    let mut staging = staging.map_or_else(Staging::new, Ok)?;
    if user.handed {
        for mount in &mut opened {
            *mount = staging.attach(mount)?;
        }
    }
    let missing = || StepError::new("opening the scratch", Errno::BADF);
    let scratch = opened.pop().ok_or_else(missing)?;
    let mut layers = opened;
    let mut parts = Vec::with_capacity(user.parts.len());
    for path in &user.parts {
        parts.push((path.clone(), staging.attach(&handed.take()?)?));
    }
    if user.handed && spec.view.as_ref().is_some_and(|view| view.tree.is_some()) {
        tree = Some(staging.attach(&handed.take()?)?);
    }
    let covers = spec.view.as_ref();
    let covers = covers
        .map(|view| staging.covers(view, handed))
        .transpose()?;
    let (name, spare) = (staging.directory()?, staging.directory()?);
    let bare = bare::of(launch).map(|names| Ok((names, staging.directory()?)));
    let bare = bare.transpose()?;
    let open = |step| place::open(staging.directory.as_fd(), &name).step(step);
    let scratch = match spec.limit {
        Some(limit) if !user.handed => scratch_image::in_memory(&scratch, limit)
            .step("mounting memory for a scratch of limited size")?,
        _ => scratch,
    };
    let mut overlays = Overlays {
        trusts_nodes: false,
        sync: spec.keep,
        user: true,
        mixed: spec.view.is_some(),
        scratch,
    };
    let target = open("opening a mount point")?;
    let host = spec.layers.iter().position(|layer| is_host(&layer.path));
    if let (Some(_), false) = (host, user.handed) {
        let spare = place::open(staging.directory.as_fd(), &spare).step("opening a mount point")?;
        let view = View { covers, tree };
        return assembly::assemble(overlays, spare, spec, view, &target, || {
            open("opening the root")
        });
    }
    let above = cover_layers(covers.as_ref(), &mut layers)?;
    let host = host.map(|host| host + above);
    if let Some(host) = host.filter(|_| spec.layers.len() > 1) {
        layers[host] = host_view::as_file_system_of_its_own(&layers[host], &overlays.scratch)?;
    }
    if let Some((names, place)) = bare {
        let place = place::open(staging.directory.as_fd(), &place);
        let place = place.step("opening a place for a layer")?;
        layers.push(bare::make(place.as_fd(), names)?);
        overlays.mixed = true;
    }
    mount_layers(&mut overlays, &layers, spec, Some(&target))?;
    let root = Root {
        directory: open("opening the root")?,
    };
    if let Some(host) = host {
        host_view::add_parts(&overlays, &root, &layers, host, &parts)?;
    }
    if let (Some(view), Some(covers), Some(tree)) = (&spec.view, &covers, tree) {
        host_view::add_tree(&overlays, &root, view, covers, tree)?;
    }
    Ok(root)
}
