//! Which directories are a service's own, told to all services of the host: what a container or a virtual machine of
//! one service sees must not show those of another either.
//!
//! A directory with a file for each state root, named after it, which the service of that root writes when it starts.
//! The file stays when the service ends, as the directories do. It means nothing once the state root is gone, and a
//! service removes it after its own start ([`prune`]). The directory is root's and closed to others, so nothing in it
//! is hostile. A service of an ordinary user has one of its own.

use std::{
    io::{Read as _, Write as _},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hcs_schema::fnv;
use rustix::{
    fs::{AtFlags, Dir, Mode, OFlags, fstat, lstat, openat, renameat, stat, unlinkat},
    io::Errno,
};
use serde::{Deserialize, Serialize};

use crate::trust::{Reason, Trusted, Untrusted};

/// Where the services of root tell it.
pub const OF_ROOT: &str = "/run/hcs-places";

/// The most services that are read, and the longest file.
const MOST: usize = 1024;
const LONGEST: u64 = 64 << 10;
/// Bytes of a usual one.
const USUAL: usize = 4 << 10;

/// The directories of one service. The fields are the file's, so they only ever gain optional ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Places {
    /// Its state root.
    pub root: PathBuf,
    /// The directories with nothing else in them, the state root among them.
    pub whole: Vec<PathBuf>,
    /// That of its socket, unless all users share it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<PathBuf>,
}

impl Places {
    /// All its directories, those with nothing else in them first.
    pub fn all(&self) -> impl Iterator<Item = &PathBuf> {
        self.whole.iter().chain(&self.socket)
    }

    /// Writes them into `registry`, which is made where there is none.
    ///
    /// Directories with nothing else in them are made where they are missing: what is made later would be seen by a
    /// container that sees what is above it.
    ///
    /// # Errors
    /// The directory is not the service's own, or cannot be written.
    pub fn publish(&self, registry: &Path) -> Result<(), Untrusted> {
        let directory = own(
            Trusted::of_process().directory(registry, Some(0o700))?,
            registry,
        )?;
        for own in &self.whole {
            // What the service cannot make now it may never make, and a container neither.
            let _made = Trusted::of_process().directory(own, Some(0o700));
        }
        self.write(&directory)
            .map_err(|errno| at(registry, Reason::Io(errno)))
    }

    fn write(&self, directory: &OwnedFd) -> Result<(), Errno> {
        let text = serde_json::to_vec(self).map_err(|_| Errno::ILSEQ)?;
        let name = format!(
            "{:016x}",
            fnv::hash(fnv::BASIS, self.root.as_os_str().as_bytes())
        );
        // One service at a time has a state root, and the last one may have died of this.
        let new = format!(".{name}");
        remove(directory, new.as_bytes())?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = openat(directory, &*new, flags, Mode::RUSR | Mode::WUSR)?;
        let written = std::fs::File::from(file).write_all(&text);
        written.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        renameat(directory, &*new, directory, &*name)
    }

    /// Whether the state root is there, or cannot be looked at for now.
    fn is_there(&self) -> bool {
        !matches!(lstat(&self.root), Err(Errno::NOENT | Errno::NOTDIR))
    }
}

/// Removes from `registry` what means nothing any more: files about state roots that are gone. It looks at the
/// directories of other services, whose file systems may not answer: nothing may wait for it.
///
/// # Errors
/// The directory is not root's or the user's own, or cannot be read or written.
pub fn prune(registry: &Path) -> Result<(), Untrusted> {
    let directory = own(Trusted::of_process().directory(registry, None)?, registry)?;
    let wrong = |errno| at(registry, Reason::Io(errno));
    for name in names(&directory).map_err(wrong)? {
        let entry = read_one(&directory, &name).map_err(wrong)?;
        if entry.is_none_or(|places| !places.is_there()) {
            remove(&directory, &name).map_err(wrong)?;
        }
    }
    Ok(())
}

/// The places of all services that `registry` knows, of which some may be gone. None where there is no such directory,
/// and for a user who may not look into it: that user's programs may not look into root's directories either.
///
/// # Errors
/// The directory is not root's or the user's own, holds too much, or cannot be read.
pub fn read(registry: &Path) -> Result<Vec<Places>, Untrusted> {
    let opened = match Trusted::of_process().directory(registry, None) {
        Err(untrusted) => match untrusted.reason {
            Reason::Io(Errno::NOENT | Errno::ACCESS) => return Ok(Vec::new()),
            _ => return Err(untrusted),
        },
        Ok(opened) => opened,
    };
    let directory = match own(opened, registry) {
        Err(untrusted) if untrusted.reason == Reason::Io(Errno::ACCESS) => return Ok(Vec::new()),
        directory => directory?,
    };
    let wrong = |errno| at(registry, Reason::Io(errno));
    let mut all = Vec::new();
    for name in names(&directory).map_err(wrong)? {
        let entry = read_one(&directory, &name).map_err(wrong)?;
        all.extend(entry);
    }
    Ok(all)
}

/// What a registry says, remembered for as long as nothing is written there.
#[derive(Debug, Default)]
pub struct Remembered(Mutex<Option<(Stamp, Vec<Places>)>>);

/// How a directory looked. Each entry that comes, goes or is replaced changes its times; so does a change of its owner
/// and mode. Another directory at its path has another number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    number: u64,
    modified: (i64, u64),
    changed: (i64, u64),
}

/// Times of files may be this coarse, generously: what changed so shortly before may change again unseen.
const COARSE: Duration = Duration::from_secs(1);

impl Stamp {
    /// That of the directory at `path`, if it can be looked at.
    fn of(path: &Path) -> Option<Self> {
        let found = stat(path).ok()?;
        Some(Self {
            device: found.st_dev as u64,
            number: found.st_ino as u64,
            modified: (found.st_mtime as i64, found.st_mtime_nsec as u64),
            changed: (found.st_ctime as i64, found.st_ctime_nsec as u64),
        })
    }

    /// Whether all that changes from `now` on changes it.
    fn is_settled(&self, now: SystemTime) -> bool {
        let (seconds, nanoseconds) = self.changed;
        let seconds = u64::try_from(seconds).unwrap_or_default();
        let changed = Duration::from_secs(seconds) + Duration::from_nanos(nanoseconds);
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        now.checked_sub(changed).is_some_and(|age| age > COARSE)
    }
}

impl Remembered {
    /// [`read`], which is not done again where nothing has been written since.
    ///
    /// # Errors
    /// As for [`read`].
    pub fn read(&self, registry: &Path) -> Result<Vec<Places>, Untrusted> {
        let last = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = Stamp::of(registry);
        if let (Some(found), Some((known, places))) = (found, &*last())
            && found == *known
        {
            return Ok(places.clone());
        }
        let is_settled = found.is_some_and(|found| found.is_settled(SystemTime::now()));
        let places = read(registry)?;
        *last() = found
            .filter(|_| is_settled)
            .map(|found| (found, places.clone()));
        Ok(places)
    }
}

/// Opens the directory for reading, if no other user can write to it.
fn own(found: OwnedFd, path: &Path) -> Result<OwnedFd, Untrusted> {
    let wrong = |errno| at(path, Reason::Io(errno));
    let about = fstat(&found).map_err(wrong)?;
    if about.st_mode & 0o022 != 0 {
        let (owner, group, mode) = (about.st_uid, about.st_gid, about.st_mode & 0o7777);
        return Err(at(path, Reason::Writable { owner, group, mode }));
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(found, ".", flags, Mode::empty()).map_err(wrong)
}

fn at(path: &Path, reason: Reason) -> Untrusted {
    let path = path.to_owned();
    Untrusted { path, reason }
}

/// The names of all entries. A file that is being written is none.
fn names(directory: &OwnedFd) -> Result<Vec<Vec<u8>>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name.starts_with(b".") {
            continue;
        }
        // What is passed over would be seen by containers.
        if names.len() == MOST {
            return Err(Errno::OVERFLOW);
        }
        names.push(name);
    }
    Ok(names)
}

/// The places in one file; none where it is gone or says something else.
fn read_one(directory: &OwnedFd, name: &[u8]) -> Result<Option<Places>, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match openat(directory.as_fd(), name, flags, Mode::empty()) {
        Err(Errno::NOENT | Errno::LOOP) => return Ok(None),
        file => file?,
    };
    // With room for all of a usual one it is read at once.
    let mut text = Vec::with_capacity(USUAL);
    let read = std::fs::File::from(file)
        .take(LONGEST)
        .read_to_end(&mut text);
    read.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    Ok(serde_json::from_slice(&text).ok())
}

fn remove(directory: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
    match unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT | Errno::ISDIR) => Ok(()),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    fn places(root: &Path) -> Places {
        fs::create_dir_all(root).unwrap();
        Places {
            root: root.to_owned(),
            whole: vec![root.to_owned(), root.join("scratch")],
            socket: None,
        }
    }

    #[test]
    fn services_know_each_others_places_until_the_root_is_gone() {
        let place = tempfile::tempdir().unwrap();
        let registry = place.path().join("places");
        assert_eq!(read(&registry), Ok(Vec::new()));
        let (one, other) = (
            places(&place.path().join("1")),
            places(&place.path().join("2")),
        );
        one.publish(&registry).unwrap();
        other.publish(&registry).unwrap();
        one.publish(&registry).unwrap();
        let mode = fs::metadata(&registry).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let mut all = read(&registry).unwrap();
        all.sort_by(|a, b| a.root.cmp(&b.root));
        assert_eq!(all, [one.clone(), other.clone()]);
        assert!(one.root.join("scratch").is_dir());

        fs::remove_dir_all(&one.root).unwrap();
        assert_eq!(read(&registry).unwrap().len(), 2);
        prune(&registry).unwrap();
        assert_eq!(read(&registry), Ok(vec![other.clone()]));
        assert_eq!(fs::read_dir(&registry).unwrap().count(), 1);
    }

    #[test]
    fn what_is_remembered_counts_until_something_is_written() {
        let place = tempfile::tempdir().unwrap();
        let registry = place.path().join("places");
        let one = places(&place.path().join("1"));
        one.publish(&registry).unwrap();
        let now = Stamp::of(&registry).unwrap();
        let remembered = |stamp| Remembered(Mutex::new(Some((stamp, Vec::new()))));
        assert_eq!(
            remembered(now).read(&registry),
            Ok(Vec::new()),
            "it is not read"
        );
        let others = [
            Stamp {
                device: now.device + 1,
                ..now
            },
            Stamp {
                number: now.number + 1,
                ..now
            },
            Stamp {
                modified: (0, 0),
                ..now
            },
            Stamp {
                changed: (0, 0),
                ..now
            },
        ];
        for other in others {
            let read = remembered(other).read(&registry);
            assert_eq!(read, Ok(vec![one.clone()]), "{other:?}");
        }
    }

    #[test]
    fn a_directory_is_settled_when_its_times_are_past() {
        let at = |seconds, nanoseconds| Stamp {
            device: 1,
            number: 1,
            modified: (0, 0),
            changed: (seconds, nanoseconds),
        };
        let now = UNIX_EPOCH + Duration::from_secs(100);
        assert!(at(98, 999_999_999).is_settled(now) && at(-5, 0).is_settled(now));
        assert!(!at(99, 0).is_settled(now) && !at(100, 0).is_settled(now));
        assert!(!at(200, 0).is_settled(now), "a clock that was set back");
    }

    #[test]
    fn a_registry_that_others_can_write_to_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let registry = place.path().join("places");
        let one = places(&place.path().join("1"));
        one.publish(&registry).unwrap();
        for mode in [0o702, 0o1777] {
            fs::set_permissions(&registry, fs::Permissions::from_mode(mode)).unwrap();
            assert!(
                read(&registry).is_err() && one.publish(&registry).is_err(),
                "{mode:o}"
            );
        }
    }

    #[test]
    fn what_is_no_list_of_places_is_passed_over_and_removed() {
        let place = tempfile::tempdir().unwrap();
        let registry = place.path().join("places");
        let one = places(&place.path().join("1"));
        one.publish(&registry).unwrap();
        fs::write(registry.join("0"), "{").unwrap();
        assert_eq!(read(&registry), Ok(vec![one.clone()]));
        prune(&registry).unwrap();
        assert!(!registry.join("0").exists());
        assert_eq!(read(&registry), Ok(vec![one]));
    }
}
