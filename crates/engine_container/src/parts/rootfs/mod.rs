//! The root file system: the layers, read-only, below one directory that takes what the container writes.
//!
//! 1. [`overlay`]: one overlayfs mount.
//! 2. [`host_view`]: what is special about the layer `/`, the throw-away view of the host's own files.
//! 3. [`user`]: how it is put together in a user namespace.
//! 4. [`assembly`]: the host's own files as an ordinary user may have them, overlay by overlay.
//! 5. [`left_out`]: what the view of a container without layers leaves out; [`cover`]: how.
//! 6. [`bare`]: a layer below all others, with what mounts need.
//!
//! It is mounted over its own scratch directory, where only the container's mount namespace sees it. In the scratch,
//! `upper` has what the container wrote; where the host's root is a layer, further directories (`-usr`, `-var`) have
//! what it wrote to other file systems of the host.

mod assembly;
mod bare;
pub(crate) mod cover;
mod host_view;
pub(crate) mod left_out;
pub(crate) mod overlay;
mod user;

use std::{
    ffi::CStr,
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, fstatfs, open, openat2, readlink},
    io::Errno,
    mount::MountAttrFlags,
};

use super::{handed::Handed, mount, place};
use crate::{
    failure::{Attempt, MOUNTING_LAYERS, StepError},
    parts::scratch::POINTER as SCRATCH,
    source::Source,
    spec::{LaunchSpec, RootSpec, UserSpec, ViewSpec},
    steps::done,
};
use cover::Cover;
use overlay::{Overlays, path_of};

pub(crate) use host_view::parts_of_host;
pub(crate) use user::Staging;

/// The most layers: an overlay has at most 500, some of which may be what hides files of the host.
pub(crate) const MAX_LAYERS: usize = 480;

/// JSON pointer of the whole part of the document.
pub(super) const POINTER: &str = "/Container/Storage";

/// The container's root, mounted but not yet `/`.
#[derive(Debug)]
pub(crate) struct Root {
    /// Its directory, on the topmost mount.
    pub(crate) directory: OwnedFd,
}

/// Whether a layer's path is that of the host's root.
pub(crate) fn is_host(path: &str) -> bool {
    path.starts_with('/') && path.trim_end_matches('/').is_empty()
}

/// Mounts the root file system of a container with the user namespace `user`; the calling process is its root, and has
/// its mounts to itself. `staging` is there where these are none of the host's.
pub(crate) fn apply_in_namespace(
    launch: &LaunchSpec,
    user: &UserSpec,
    handed: &mut Handed,
    staging: Option<Staging>,
) -> Result<Root, StepError> {
    user::apply(launch, user, handed, staging)
}

/// The same for a process that is the host's root, with a private view of the host's mounts.
pub(crate) fn apply_as_host(launch: &LaunchSpec, handed: &mut Handed) -> Result<Root, StepError> {
    let spec = &launch.root;
    let mut layers = spec
        .layers
        .iter()
        .map(open_directory)
        .collect::<Result<Vec<_>, _>>()?;
    // Before anything covers the way there.
    let tree = spec.view.as_ref().and_then(|view| view.tree.as_ref());
    let tree = tree.map(|tree| tree.source.open()).transpose()?;
    let mut overlays = Overlays {
        trusts_nodes: launch.trusts_nodes,
        sync: spec.keep,
        user: false,
        mixed: spec.view.is_some(),
        scratch: open_directory(&spec.scratch)?,
    };
    if spec.limit.is_some() {
        let (step, image) = ("mounting a scratch of limited size on", handed.take()?);
        let path = &*spec.scratch.path;
        mount::attach(image.as_fd(), overlays.scratch.as_fd()).step_at(step, path)?;
        overlays.scratch = image;
    }
    let host = spec.layers.iter().position(|layer| is_host(&layer.path));
    if let Some(host) = host.filter(|_| layers.len() > 1) {
        layers[host] = host_view::as_file_system_of_its_own(&layers[host], &overlays.scratch)?;
    }
    let place = path_of(&overlays.scratch);
    let place = readlink(&place, Vec::new()).step_at("finding the way to", &*spec.scratch.path)?;
    let covers = match &spec.view {
        Some(view) => {
            let shared = view.covered.then(|| handed.take()).transpose()?;
            let shared = shared.map(|mount| attach_over(&overlays.scratch, mount));
            let own = || memory(&overlays.scratch);
            Some(Covers::make(shared.transpose()?.as_ref(), view, own)?)
        }
        None => None,
    };
    let above = cover_layers(covers.as_ref(), &mut layers)?;
    let host = host.map(|host| host + above);
    if let Some(names) = bare::of(launch) {
        let memory = memory(&overlays.scratch)?;
        layers.push(bare::make(memory.as_fd(), names)?);
        overlays.mixed = true;
    }
    mount_layers(&mut overlays, &layers, spec, None)?;
    let root = Root {
        directory: open_mounted(&place)?,
    };
    if let Some(host) = host {
        let mut parts = parts_of_host()?;
        parts.retain(|(path, _)| !leaves_out(spec, path));
        host_view::add_parts(&overlays, &root, &layers, host, &parts)?;
    }
    if let (Some(view), Some(covers), Some(tree)) = (&spec.view, &covers, tree) {
        host_view::add_tree(&overlays, &root, view, covers, tree)?;
    }
    Ok(root)
}

/// What leaves things out of the default view.
struct Covers {
    root: Cover,
    tree: Option<Cover>,
}

impl Covers {
    /// Makes them, with those of the root in `shared`, a mount of a [shared](cover::Shared) file system, if it is
    /// there. `own` makes an empty directory in memory for the others.
    fn make(
        shared: Option<&OwnedFd>,
        view: &ViewSpec,
        own: impl FnOnce() -> Result<OwnedFd, StepError>,
    ) -> Result<Self, StepError> {
        let step = "making a place for what covers the host's files";
        if let (Some(mount), true, None) = (shared, view.places.is_empty(), &view.tree) {
            let root = Cover::open(mount)?;
            return Ok(Self { root, tree: None });
        }
        let own = own()?;
        let new = |name: &str| {
            overlay::make_directory(own.as_fd(), name).step(step)?;
            place::open(own.as_fd(), name).step(step)
        };
        let mut root = match shared {
            Some(mount) => Cover::open(mount)?,
            None => Cover::make(new("root")?.as_fd(), &view.left_out)
                .inspect(|_| done("covered what the view leaves out"))?,
        };
        if !view.places.is_empty() {
            root.add(new("places")?, &view.places)?;
        }
        let tree = match &view.tree {
            Some(tree) => Some(Cover::make(new("tree")?.as_fd(), &tree.left_out)?),
            None => None,
        };
        Ok(Self { root, tree })
    }
}

/// Puts what covers the root on top of its layers; how many layers that are.
fn cover_layers(covers: Option<&Covers>, layers: &mut Vec<OwnedFd>) -> Result<usize, StepError> {
    let Some(covers) = covers else {
        return Ok(0);
    };
    let over = covers
        .root
        .over("/")
        .step("opening what covers the host's files")?;
    let count = over.len();
    layers.splice(0..0, over);
    Ok(count)
}

/// Whether the view leaves out what is at `path`, a real path of the host.
pub(crate) fn leaves_out(spec: &RootSpec, path: &str) -> bool {
    let left_out = spec.view.as_ref().map(|view| &view.left_out);
    left_out.is_some_and(|left_out| {
        let empty = left_out.empty.iter().map(|directory| &*directory.path);
        let mut all = empty.chain(left_out.absent.iter().map(String::as_str));
        all.any(|outer| Path::new(path).starts_with(outer))
    })
}

/// Mounts the root. The scratch is in memory where the file system of the real one cannot hold an overlay's upper
/// directory (another overlay, NFS, FAT), unless it is kept. Without a `target` it covers the scratch.
fn mount_layers(
    overlays: &mut Overlays,
    layers: &[OwnedFd],
    spec: &RootSpec,
    target: Option<&OwnedFd>,
) -> Result<(), StepError> {
    let path = spec.scratch.path.as_str();
    let mounted = match overlays.mount(layers, target) {
        Err(Errno::INVAL | Errno::OPNOTSUPP) if !spec.keep => {
            overlays.scratch = memory(&overlays.scratch)?;
            overlays.mount(layers, target)
        }
        answer => answer,
    };
    mounted.map_err(|errno| {
        let step = match errno {
            // That is how overlayfs says it.
            Errno::LOOP => "mounting layers, of which one is inside another, over",
            Errno::UCLEAN => {
                "finding upper and work to be directories, no links and no mounts, of the scratch"
            }
            _ => MOUNTING_LAYERS,
        };
        let asked = match errno {
            Errno::UCLEAN => SCRATCH,
            _ => POINTER,
        };
        StepError::new(step, errno).at(path).asked_by(asked)
    })
}

/// A file system in memory, charged to the container, mounted on `place`.
fn memory(place: &OwnedFd) -> Result<OwnedFd, StepError> {
    let step = "mounting a file system in memory";
    let memory = mount::create("tmpfs", &[("mode", "0700")], MountAttrFlags::empty()).step(step)?;
    attach_over(place, memory)
}

/// Mounts `memory` on `place`.
fn attach_over(place: &OwnedFd, memory: OwnedFd) -> Result<OwnedFd, StepError> {
    let step = "mounting a file system in memory";
    mount::attach(memory.as_fd(), place.as_fd()).step(step)?;
    Ok(memory)
}

/// Opens the overlay that was mounted at `place`, the way there as the kernel tells it. A process that changed that way
/// since cannot have another overlay at its end.
fn open_mounted(place: &CStr) -> Result<OwnedFd, StepError> {
    let name = || place.to_string_lossy().into_owned();
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = openat2(CWD, place, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)
        .step_at("opening the overlay on", name())?;
    let found = fstatfs(&opened).step_at("examining", name())?;
    if found.f_type != libc::OVERLAYFS_SUPER_MAGIC {
        return Err(StepError::new("finding the overlay on", Errno::STALE).at(name()));
    }
    Ok(opened)
}

fn open_directory(source: &Source) -> Result<OwnedFd, StepError> {
    let opened = source.open()?;
    let found = fstat(&opened).step_at("examining", &*source.path)?;
    if FileType::from_raw_mode(found.st_mode).is_dir() {
        return Ok(opened);
    }
    let error = StepError::new("opening", Errno::NOTDIR).at(&*source.path);
    Err(error.asked_by(&source.pointer))
}

fn open_path(path: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    open(path, flags, Mode::empty())
}
