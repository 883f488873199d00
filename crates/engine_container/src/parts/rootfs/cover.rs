//! Two layers that leave things out of a view of the host's files.
//!
//! The lower one has a whiteout for each thing that is left out, which is how an overlay says that what is further below is
//! not there; the upper one has the directories that are to be seen empty. Neither needs a mount or an attribute of its
//! own: a dozen directories in memory cost less than one mount each, and what a container writes is kept apart from what
//! it may not see, so that a scratch can be kept. For a container that is kept ready the service makes them beforehand
//! ([`prepare`]), because they take some two hundred system calls.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

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
};

/// Names of the two layers.
const EMPTY: &str = "empty";
const WHITEOUTS: &str = "whiteouts";
/// In a file system that was prepared, the directory that they are in.
pub(super) const ROOT: &str = "root";

/// A file system in memory, mounted nowhere, with what covers the root of a view, for a container that is not there yet.
pub(crate) fn prepare(left_out: &LeftOut) -> Result<OwnedFd, StepError> {
    let step = "making a file system for what covers the host's files";
    let attributes = MountAttrFlags::empty();
    let memory = mount::create("tmpfs", &[("mode", "0700")], attributes).step(step)?;
    mkdirat(&memory, ROOT, Mode::RWXU).step(step)?;
    let place = place::open(memory.as_fd(), ROOT).step(step)?;
    // The service's mask takes away nothing that is asked for here.
    Cover::fill(place.as_fd(), left_out, &[])?;
    Ok(memory)
}

/// The two layers.
#[derive(Debug)]
pub(super) struct Cover {
    /// Topmost first.
    layers: [OwnedFd; 2],
}

impl Cover {
    /// Makes them in `place`, an empty directory, with `places` as further directories that are to be there.
    pub(super) fn make(
        place: BorrowedFd<'_>,
        left_out: &LeftOut,
        places: &[String],
    ) -> Result<Self, StepError> {
        // Modes are meant as written here; the agent's mask is set later.
        let mask = rustix::process::umask(Mode::empty());
        let made = Self::fill(place, left_out, places);
        rustix::process::umask(mask);
        made
    }

    /// Those that were [prepared](prepare) in `place`, to which `places` are added.
    pub(super) fn open(place: BorrowedFd<'_>, places: &[String]) -> Result<Self, StepError> {
        let step = "opening what covers the host's files";
        let layers = [
            place::open(place, EMPTY).step(step)?,
            place::open(place, WHITEOUTS).step(step)?,
        ];
        let mask = rustix::process::umask(Mode::empty());
        let added = places
            .iter()
            .try_for_each(|path| make_all(&layers[0], path).step_at(step, &**path));
        rustix::process::umask(mask);
        added.map(|()| Self { layers })
    }

    fn fill(
        place: BorrowedFd<'_>,
        left_out: &LeftOut,
        places: &[String],
    ) -> Result<Self, StepError> {
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
        for path in places {
            make_all(&empty, path).step_at(step, &**path)?;
        }
        // Last, and from the inside out: a directory may be one that its owner may not write to.
        let mut directories = left_out.empty.iter().chain(left_out.parents.iter().rev());
        directories.try_for_each(|directory| {
            attributes(&empty, directory).step_at(step, &*directory.path)
        })?;
        Ok(Self {
            layers: [empty, whiteouts],
        })
    }

    /// The layers over the directory that has the path `path` from the top; those that have nothing there are missing.
    pub(super) fn over(&self, path: &str) -> Result<Vec<OwnedFd>, Errno> {
        let mut over = Vec::with_capacity(3);
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
