//! The service's own directories, which no container may see: the service's socket, the sockets of other containers'
//! agents, records and documents, and what other containers write. Those of all services of the host count: services
//! of root tell each other ([`places`]).
//!
//! They are covered in every layer and every mapped directory that they are in, at every place where a mount of the
//! host shows them. A directory that lies in one of them cannot be mapped at all. The view of the host's root covers
//! them by itself (`masks.rs`). The directory that the socket is in may hold other things as well: what lies in it can
//! be mapped, as the socket is not seen there.
//!
//! A container that may write to a mapped directory could rename what is above them. That would take them away from
//! where the service and other containers find them, or put something else there. So each directory on the way is a
//! mount point.

use std::{
    collections::BTreeSet,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use hcs_schema::{Failure, HResult};
use hcs_wire::{
    places,
    trust::{Reason, Trusted},
};
use rustix::{
    fs::{Mode, OFlags, ResolveFlags, fstat, open, openat2},
    io::Errno,
};

use super::{
    empty::EmptyDirectory,
    mount,
    mount_table::{Location, MountTable, Sight},
};
use crate::{
    config::EngineConfig,
    failure::{Attempt, StepError},
    source::{Identity, Source},
    spec::MappedSpec,
};

/// Which directories they are.
#[derive(Debug, Default)]
pub(crate) struct OwnPlaces {
    /// Those with nothing else in them.
    whole: Vec<PathBuf>,
    /// That of the service's socket.
    socket: Option<PathBuf>,
    /// Where those of other services are told.
    registry: PathBuf,
    /// What was told last.
    told: places::Remembered,
}

/// They and the mounts of the host, looked at once for all that one document names.
struct Look {
    mounts: MountTable,
    own: Vec<Own>,
}

struct Own {
    location: Location,
    identity: Identity,
    /// Whether nothing in it may be mapped.
    whole: bool,
}

impl OwnPlaces {
    /// Those of a service with this configuration.
    pub(crate) fn of(config: &EngineConfig) -> Self {
        Self {
            whole: config.own_directories().cloned().collect(),
            socket: config.socket_directory.clone(),
            registry: config.places.clone(),
            told: places::Remembered::default(),
        }
    }

    /// Has them covered in everything that is mapped.
    ///
    /// # Errors
    /// `E_ACCESSDENIED`: what is to be mapped lies in one of them.
    pub(crate) fn cover_in_mapped<'a>(
        &self,
        mapped: impl IntoIterator<Item = &'a mut MappedSpec>,
    ) -> Result<(), Failure> {
        let mut look = None;
        for spec in mapped {
            spec.covered = self.look(&mut look)?.places_in(&spec.source)?;
        }
        Ok(())
    }

    /// Where they are in a root file system of these layers.
    ///
    /// # Errors
    /// `E_ACCESSDENIED`: a layer lies in one of them.
    pub(crate) fn in_layers<'a>(
        &self,
        layers: impl IntoIterator<Item = &'a Source>,
    ) -> Result<Vec<String>, Failure> {
        let (mut look, mut hidden) = (None, Vec::new());
        for layer in layers {
            hidden.extend(self.look(&mut look)?.places_in(layer)?);
        }
        Ok(hidden)
    }

    /// Those of other services on this host that have nothing else in them. The directory of another one's socket may
    /// be shown: that service turns containers away by itself, unless it is configured to admit them.
    ///
    /// # Errors
    /// `E_ACCESSDENIED`: other users can change what services tell each other.
    pub(crate) fn of_others(&self) -> Result<Vec<PathBuf>, Failure> {
        let services = self.told.read(&self.registry).map_err(|untrusted| {
            let message = format!(
                "the directories of other services, which no container may see, could not be looked for: {untrusted}"
            );
            Failure::new(HResult::E_ACCESSDENIED, message)
        })?;
        let others = services.into_iter().flat_map(|service| service.whole);
        Ok(others.filter(|path| !self.whole.contains(path)).collect())
    }

    fn look<'a>(&self, look: &'a mut Option<Look>) -> Result<&'a Look, Failure> {
        let look = match look.take() {
            Some(there) => look.insert(there),
            None => {
                let others = self.of_others()?;
                look.insert(self.look_anew(&others).map_err(|error| {
                    error.into_failure("the service's own directories could not be looked for")
                })?)
            }
        };
        Ok(look)
    }

    fn look_anew(&self, others: &[PathBuf]) -> Result<Look, StepError> {
        let step = "reading the mounts of the host";
        let mounts = MountTable::read().step(step)?;
        let mut own = Vec::new();
        let whole = self.whole.iter().map(|path| (path, true, true));
        let socket = self.socket.iter().map(|path| (path, false, false));
        for (path, whole, make) in whole.chain(socket) {
            let opened = open_or_make(path, make);
            let opened = opened.and_then(|opened| {
                let examined = opened.map(|opened| Own::examine(&opened, &mounts, whole));
                examined.transpose()
            });
            own.extend(opened.step_at("examining", path.display().to_string())?);
        }
        for path in others {
            // What another service has not made yet is not made for it, and what is damaged of it is its own trouble.
            if let Ok(Some(opened)) = open_directory(path) {
                own.extend(Own::examine(&opened, &mounts, true));
            }
        }
        Ok(Look { mounts, own })
    }
}

impl Own {
    fn examine(opened: &OwnedFd, mounts: &MountTable, whole: bool) -> Result<Self, Errno> {
        let (location, identity) = mounts.examine(opened)?;
        Ok(Self {
            location,
            identity,
            whole,
        })
    }
}

impl Look {
    /// Where the own directories are in the tree of `source`, relative to its top.
    fn places_in(&self, source: &Source) -> Result<Vec<String>, Failure> {
        let path = &source.path;
        let failed = |error: StepError| {
            error
                .asked_by(&source.pointer)
                .into_failure(format!("{path:?} cannot be used"))
        };
        let tree = source.open().map_err(failed)?;
        let located = self.mounts.locate(&tree).step_at("locating", &**path);
        let located = located.map_err(failed)?;
        let mut covered = Vec::new();
        for own in &self.own {
            let places = match self.mounts.sight(&located, &own.location) {
                Sight::Within if own.whole || located.is(&own.location) => {
                    return Err(refuse(source));
                }
                Sight::Within => continue,
                Sight::At(places) => places,
            };
            for place in places {
                let opened = open_below(tree.as_fd(), &place);
                let found = opened.and_then(fstat).map(|found| Identity::of(&found));
                // Another mount may lie over it, now and in the container.
                if found == Ok(own.identity) {
                    let place = String::from_utf8(place).map_err(|_| {
                        let step = "naming one of the service's own directories in";
                        failed(StepError::new(step, Errno::ILSEQ).at(&**path))
                    })?;
                    covered.push(place);
                }
            }
        }
        Ok(outermost(covered))
    }
}

/// Those that are in none of the others, each once: what is in one is out of sight when that is covered.
fn outermost(mut places: Vec<String>) -> Vec<String> {
    places.sort_unstable();
    let mut kept: Vec<String> = Vec::new();
    for place in places {
        if kept
            .iter()
            .all(|outer| !Path::new(&place).starts_with(outer))
        {
            kept.push(place);
        }
    }
    kept
}

fn refuse(source: &Source) -> Failure {
    let message = format!(
        "{:?} belongs to the host compute service itself: it leads to the service's socket or to files of other \
         containers, which no container may see; name another directory, or have the service use another endpoint",
        source.path
    );
    let failure = Failure::new(HResult::E_ACCESSDENIED, message.clone());
    failure.cause_at(&*source.pointer, message)
}

/// Mounts empty directories on the places `covered` in `tree`, which has just been mounted, and keeps the container
/// from renaming what is above them.
///
/// # Errors
/// `ESTALE`: what was found there has moved since.
pub(crate) fn cover(tree: impl AsFd, covered: &[String]) -> Result<(), StepError> {
    if covered.is_empty() {
        return Ok(());
    }
    let step = "hiding a directory of the service's own,";
    let mut empty = EmptyDirectory::new().step(step)?;
    let mut pinned = BTreeSet::new();
    for place in covered {
        pin_above(tree.as_fd(), place, &mut pinned).step_at(step, &**place)?;
    }
    for place in covered {
        open_unmoved(tree.as_fd(), place)
            .and_then(|opened| empty.cover(opened.as_fd(), ""))
            .step_at(step, &**place)?;
    }
    Ok(())
}

/// Mounts each directory between the top of `tree` and `place` on itself, but those in `pinned`: the kernel renames no
/// mount point of the namespace that the caller is in.
fn pin_above<'a>(
    tree: BorrowedFd<'_>,
    place: &'a str,
    pinned: &mut BTreeSet<&'a str>,
) -> Result<(), Errno> {
    for (end, _) in place.match_indices('/') {
        let above = &place[..end];
        if pinned.insert(above) {
            let directory = open_unmoved(tree, above)?;
            let view = mount::clone_tree(directory.as_fd(), "", true)?;
            mount::attach(view.as_fd(), directory.as_fd())?;
        }
    }
    Ok(())
}

/// [`open_below`] for a place where the directory was found before.
fn open_unmoved(tree: BorrowedFd<'_>, place: &str) -> Result<OwnedFd, Errno> {
    match open_below(tree, place.as_bytes()) {
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Err(Errno::STALE),
        answer => answer,
    }
}

/// Opens a directory of the service's own. A missing directory is made where it is to be covered as a whole: a
/// container that sees what is above it would see it otherwise when it is made. Where it cannot be made, neither can a
/// container's.
fn open_or_make(path: &Path, make: bool) -> Result<Option<OwnedFd>, Errno> {
    match open_directory(path)? {
        None if make => match Trusted::of_process().directory(path, Some(0o700)) {
            Ok(_made) => open_directory(path),
            Err(untrusted) => match untrusted.reason {
                // A service that cannot make it gets none later either.
                Reason::Io(Errno::ROFS | Errno::ACCESS | Errno::PERM) => Ok(None),
                Reason::Io(errno) => Err(errno),
                _ => Ok(None),
            },
        },
        opened => Ok(opened),
    }
}

fn open_directory(path: &Path) -> Result<Option<OwnedFd>, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match open(path, flags, Mode::empty()) {
        Err(Errno::NOENT) => Ok(None),
        answer => answer.map(Some),
    }
}

fn open_below(tree: impl AsFd, place: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    loop {
        match openat2(&tree, place, flags, Mode::empty(), resolve) {
            // Something on the way was renamed meanwhile.
            Err(Errno::AGAIN) => {}
            answer => return answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_another_is_covered_with_it() {
        let places = ["hcs.d/scratch", "a", "hcs.d", "hcs.d-other", "hcs.d"];
        let kept = outermost(places.map(str::to_owned).into());
        assert_eq!(kept, ["a", "hcs.d", "hcs.d-other"]);
    }
}
