//! The directories of the services of this host, which no guest sees in a share: records, sockets, logs, and what
//! containers write.
//!
//! They are told from others by device and inode, as a path may be another directory's by the next look. One that was
//! seen once stays covered while it exists, so that a guest gains nothing by what it renames or links.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use hcs_wire::{
    places,
    trust::{Reason, Untrusted},
};
use rustix::{
    fs::{CWD, Mode, OFlags, Stat, fstat, openat, stat},
    io::Errno,
};

/// More directories above one than any path has.
const DEEPEST: usize = 4096;

/// Device and inode.
type Identity = (u64, u64);

/// What covers them in shares.
#[derive(Debug)]
pub(super) struct ServicePlaces {
    registry: PathBuf,
    seen: Mutex<Seen>,
}

/// What was found by the last look.
#[derive(Debug, Default)]
struct Seen {
    /// How the registry was then.
    registry: Option<(Identity, [i128; 4])>,
    /// Held, so that no other directory gets the same inode.
    held: BTreeMap<Identity, Held>,
    /// The directories above them.
    above: BTreeSet<Identity>,
    /// Those that were not there, each with whether nothing else is in it.
    missing: Vec<(PathBuf, bool)>,
}

#[derive(Debug)]
struct Held {
    directory: OwnedFd,
    /// Whether nothing in it may be shared.
    whole: bool,
}

impl ServicePlaces {
    /// Those that services have told in `registry`.
    pub(super) fn told_in(registry: &Path) -> Self {
        Self {
            registry: registry.to_owned(),
            seen: Mutex::default(),
        }
    }

    /// Whether the directory, which is to be shared, is one of them or lies in one.
    ///
    /// # Errors
    /// That cannot be found out.
    pub(super) fn contain(&self, directory: &OwnedFd) -> Result<bool, Untrusted> {
        let wrong = |errno| untrusted(&self.registry, errno);
        let own = identity(&fstat(directory).map_err(wrong)?);
        let above = directories_above(directory).map_err(wrong)?;
        self.with(|seen| {
            let is_whole = |identity| seen.held.get(identity).is_some_and(|held| held.whole);
            seen.held.contains_key(&own) || above.iter().any(is_whole)
        })
    }

    /// Looks at what was found, which is brought up to date first.
    fn with<T>(&self, look: impl FnOnce(&Seen) -> T) -> Result<T, Untrusted> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.renew(&self.registry)?;
        Ok(look(&seen))
    }
}

impl plan9::Covered for ServicePlaces {
    fn covers(&self, device: u64, inode: u64) -> bool {
        // Where that cannot be found out, nothing is shown.
        self.with(|seen| seen.held.contains_key(&(device, inode)))
            .unwrap_or(true)
    }

    fn is_above(&self, device: u64, inode: u64) -> bool {
        self.with(|seen| seen.above.contains(&(device, inode)))
            .unwrap_or(true)
    }
}

impl Seen {
    fn renew(&mut self, registry: &Path) -> Result<(), Untrusted> {
        let found = match stat(registry) {
            Ok(about) => Some((identity(&about), times(&about))),
            Err(Errno::NOENT | Errno::ACCESS) => None,
            Err(errno) => return Err(untrusted(registry, errno)),
        };
        let before = self.held.len();
        self.held.retain(|_, held| held.is_there());
        if found == self.registry && before == self.held.len() {
            return self.look_for_missing(registry);
        }
        let services = places::read(registry)?;
        self.missing.clear();
        for service in services {
            let whole = service.whole.into_iter().map(|path| (path, true));
            let socket = service.socket.into_iter().map(|path| (path, false));
            self.missing.extend(whole.chain(socket));
        }
        self.look_for_missing(registry)?;
        self.registry = found;
        Ok(())
    }

    /// Takes hold of those that are there by now.
    fn look_for_missing(&mut self, registry: &Path) -> Result<(), Untrusted> {
        for (path, whole) in std::mem::take(&mut self.missing) {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            match openat(CWD, &path, flags, Mode::empty()) {
                Ok(directory) => self
                    .hold(directory, whole)
                    .map_err(|errno| untrusted(registry, errno))?,
                // What this user cannot reach, the guest cannot either.
                Err(_) => self.missing.push((path, whole)),
            }
        }
        Ok(())
    }

    fn hold(&mut self, directory: OwnedFd, whole: bool) -> Result<(), Errno> {
        let own = identity(&fstat(&directory)?);
        self.above.extend(directories_above(&directory)?);
        let whole = whole || self.held.get(&own).is_some_and(|held| held.whole);
        self.held.insert(own, Held { directory, whole });
        Ok(())
    }
}

impl Held {
    fn is_there(&self) -> bool {
        fstat(&self.directory).is_ok_and(|about| about.st_nlink > 0)
    }
}

fn untrusted(path: &Path, errno: Errno) -> Untrusted {
    Untrusted {
        path: path.to_owned(),
        reason: Reason::Io(errno),
    }
}

const fn identity(about: &Stat) -> Identity {
    (about.st_dev, about.st_ino)
}

/// What changes when an entry is written or removed.
fn times(about: &Stat) -> [i128; 4] {
    [
        about.st_mtime.into(),
        about.st_mtime_nsec.into(),
        about.st_ctime.into(),
        about.st_ctime_nsec.into(),
    ]
}

/// The directories above, up to the root. Those that this user may not search are not passed.
fn directories_above(directory: &OwnedFd) -> Result<Vec<Identity>, Errno> {
    let mut above = Vec::new();
    let mut last = identity(&fstat(directory)?);
    let mut here: Option<OwnedFd> = None;
    while above.len() < DEEPEST {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let next = match openat(
            here.as_ref().unwrap_or(directory),
            "..",
            flags,
            Mode::empty(),
        ) {
            Err(Errno::ACCESS) => break,
            next => next?,
        };
        let found = identity(&fstat(&next)?);
        if found == last {
            break;
        }
        above.push(found);
        (last, here) = (found, Some(next));
    }
    Ok(above)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::MetadataExt as _};

    use hcs_wire::places::Places;
    use plan9::Covered as _;

    use super::*;

    fn open(path: &Path) -> OwnedFd {
        fs::File::open(path).unwrap().into()
    }

    #[test]
    fn directories_of_all_services_are_covered_wherever_they_are_moved() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        let registry = path("places");
        let covered = ServicePlaces::told_in(&registry);
        let about = |name: &str| {
            let about = fs::metadata(path(name)).unwrap();
            (about.dev(), about.ino())
        };
        let covers = |name: &str| covered.covers(about(name).0, about(name).1);
        fs::create_dir_all(path("run/hcs.d/systems")).unwrap();
        fs::create_dir_all(path("door/free")).unwrap();
        assert!(!covers("run/hcs.d"));

        let told = Places {
            root: path("run/hcs.d"),
            whole: vec![path("run/hcs.d"), path("later")],
            socket: Some(path("door")),
        };
        told.publish(&registry).unwrap();
        assert!(covers("run/hcs.d") && covers("door") && !covers("run") && !covers("door/free"));
        assert!(covered.is_above(about("run").0, about("run").1));
        assert!(covers("later"), "a service makes what it tells of");
        for (name, inside) in [
            ("run", false),
            ("run/hcs.d", true),
            ("run/hcs.d/systems", true),
            ("door", true),
            ("door/free", false),
        ] {
            assert_eq!(covered.contain(&open(&path(name))), Ok(inside), "{name}");
        }

        fs::rename(path("run"), path("ran")).unwrap();
        fs::create_dir_all(path("run/hcs.d")).unwrap();
        assert!(covers("ran/hcs.d"));
        told.publish(&registry).unwrap();
        assert!(covers("ran/hcs.d") && covers("run/hcs.d"));
    }

    #[test]
    fn nothing_is_shown_where_others_can_change_what_services_tell() {
        use std::os::unix::fs::PermissionsExt as _;
        let place = tempfile::tempdir().unwrap();
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let covered = ServicePlaces::told_in(place.path());
        assert!(covered.covers(1, 1) && covered.contain(&open(place.path())).is_err());
    }
}
