//! The layers that leave things out of a view of the host's files.
//!
//! The lower one has a whiteout for each thing that is left out, which is how an overlay says that what is further
//! below is not there; the upper one has the directories that are to be seen empty. Neither needs a mount or an
//! attribute of its own: a dozen directories in memory cost less than one mount each. What a container writes is kept
//! apart from what it may not see, so that a scratch can be kept. They take some two hundred system calls, so the
//! service makes them once for all containers that leave the same out ([`Shared`]): no process ever writes to them.
//! What one container needs besides comes between the two, in a third layer of its own.

use std::{
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    sync::{Mutex, PoisonError},
};

use rustix::{
    fs::{
        AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Uid, chmodat, chownat, mkdirat,
        mknodat, openat2,
    },
    io::Errno,
    mount::MountAttrFlags,
};

use crate::{
    failure::{Attempt, StepError},
    parts::{mount, place},
    spec::{DirectorySpec, LeftOut},
    sys::mount::{MountChange, change},
};

/// Names of the two layers.
const EMPTY: &str = "empty";
const WHITEOUTS: &str = "whiteouts";
/// In a shared file system, the directory that they are in.
const ROOT: &str = "root";

/// The file system in memory with what covers the root of a view, made once for all containers that leave the same out.
#[derive(Debug, Default)]
pub(crate) struct Shared(Mutex<Option<(LeftOut, OwnedFd)>>);

impl Shared {
    /// A read-only mount of it, attached nowhere. Before Linux 6.15, which copies no mount that is attached nowhere, it
    /// is that of a file system made for this call.
    pub(crate) fn mount(&self, left_out: &LeftOut) -> Result<OwnedFd, StepError> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let memory = match kept.take().filter(|(of, _)| of == left_out) {
            Some((_, memory)) => memory,
            None => prepare(left_out)?,
        };
        let (_, memory) = kept.insert((left_out.clone(), memory));
        let mount = match mount::clone_tree(memory.as_fd(), "", false) {
            Err(Errno::INVAL) => prepare(left_out)?,
            mount => mount.step("copying the mount of what covers the host's files")?,
        };
        let read_only = MountChange {
            set: libc::MOUNT_ATTR_RDONLY,
            ..MountChange::default()
        };
        change(mount.as_fd(), read_only).step("making what covers the host's files read-only")?;
        Ok(mount)
    }
}

/// A file system in memory, mounted nowhere, with what covers the root of a view.
fn prepare(left_out: &LeftOut) -> Result<OwnedFd, StepError> {
    let step = "making a file system for what covers the host's files";
    let attributes = MountAttrFlags::empty();
    let memory = mount::create("tmpfs", &[("mode", "0700")], attributes).step(step)?;
    mkdirat(&memory, ROOT, Mode::RWXU).step(step)?;
    let place = place::open(memory.as_fd(), ROOT).step(step)?;
    // The service's mask takes away nothing that is asked for here.
    Cover::fill(place.as_fd(), left_out)?;
    Ok(memory)
}

/// The layers.
#[derive(Debug)]
pub(super) struct Cover {
    /// Topmost first.
    layers: Vec<OwnedFd>,
}

impl Cover {
    /// Makes them in `place`, an empty directory.
    pub(super) fn make(place: BorrowedFd<'_>, left_out: &LeftOut) -> Result<Self, StepError> {
        with_exact_modes(|| Self::fill(place, left_out))
    }

    /// Those in a mount of a [shared](Shared) file system.
    pub(super) fn open(mount: &OwnedFd) -> Result<Self, StepError> {
        let step = "opening what covers the host's files";
        let place = place::open(mount.as_fd(), ROOT).step(step)?;
        let layers = [EMPTY, WHITEOUTS].map(|name| place::open(place.as_fd(), name).step(step));
        let layers = layers.into_iter().collect::<Result<_, _>>()?;
        Ok(Self { layers })
    }

    /// Adds `places` as directories that are to be there, made in `own`, an empty directory. Below the directories that
    /// are to be seen empty, whose attributes count.
    pub(super) fn add(&mut self, own: OwnedFd, places: &[String]) -> Result<(), StepError> {
        let step = "adding places to what covers the host's files";
        with_exact_modes(|| {
            let mut places = places.iter();
            places.try_for_each(|path| make_all(&own, path).step_at(step, &**path))
        })?;
        self.layers.insert(1, own);
        Ok(())
    }

    fn fill(place: BorrowedFd<'_>, left_out: &LeftOut) -> Result<Self, StepError> {
        let step = "leaving out of the host's files";
        let new = |name: &str| {
            mkdirat(place, name, Mode::from_raw_mode(0o755))?;
            place::open(place, name)
        };
        let empty = new(EMPTY).step(step)?;
        let whiteouts = new(WHITEOUTS).step(step)?;
        for parent in &left_out.parents {
            if parent.path != "/" {
                for layer in [&empty, &whiteouts] {
                    mkdirat(layer, inside(&parent.path), Mode::RWXU)
                        .step_at(step, &*parent.path)?;
                }
            }
        }
        for path in &left_out.absent {
            whiteout(&whiteouts, path).step_at(step, &**path)?;
        }
        for directory in &left_out.empty {
            let path = &*directory.path;
            whiteout(&whiteouts, path).step_at(step, path)?;
            mkdirat(&empty, inside(path), Mode::RWXU).step_at(step, path)?;
        }
        // Last, and from the inside out: a directory may be one that its owner may not write to.
        let mut directories = left_out.empty.iter().chain(left_out.parents.iter().rev());
        directories.try_for_each(|directory| {
            attributes(&empty, directory).step_at(step, &*directory.path)
        })?;
        Ok(Self {
            layers: vec![empty, whiteouts],
        })
    }

    /// The layers over the directory that has the path `path` from the top; those that have nothing there are missing.
    pub(super) fn over(&self, path: &str) -> Result<Vec<OwnedFd>, Errno> {
        let mut over = Vec::with_capacity(4);
        for layer in &self.layers {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
            match openat2(layer, inside(path), flags, Mode::empty(), resolve) {
                Err(Errno::NOENT | Errno::NOTDIR) => {}
                layer => over.push(layer?),
            }
        }
        Ok(over)
    }
}

/// Does something in which modes are meant as they are written; the agent's mask is set later.
pub(super) fn with_exact_modes<T>(make: impl FnOnce() -> T) -> T {
    let mask = rustix::process::umask(Mode::empty());
    let made = make();
    rustix::process::umask(mask);
    made
}

/// `path` relative to the top.
fn inside(path: &str) -> &str {
    match path.trim_start_matches('/') {
        "" => ".",
        path => path,
    }
}

fn whiteout(layer: &OwnedFd, path: &str) -> Result<(), Errno> {
    // A node with the number 0, which any user may make.
    mknodat(
        layer,
        inside(path),
        FileType::CharacterDevice,
        Mode::empty(),
        0,
    )
}

fn make_all(layer: &OwnedFd, path: &str) -> Result<(), Errno> {
    let path = inside(path);
    let ends = path.match_indices('/').map(|(end, _)| end);
    for end in ends.chain([path.len()]) {
        match mkdirat(layer, &path[..end], Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn attributes(layer: &OwnedFd, directory: &DirectorySpec) -> Result<(), Errno> {
    let path = inside(&directory.path);
    if directory.user != 0 || directory.group != 0 {
        let (user, group) = (
            Uid::from_raw(directory.user),
            Gid::from_raw(directory.group),
        );
        match chownat(
            layer,
            path,
            Some(user),
            Some(group),
            AtFlags::SYMLINK_NOFOLLOW,
        ) {
            // An id that a user namespace has not: it stays root's.
            Ok(()) | Err(Errno::INVAL | Errno::PERM) => {}
            Err(errno) => return Err(errno),
        }
    }
    let mode = Mode::from_raw_mode(directory.mode);
    chmodat(layer, path, mode, AtFlags::empty())
}
