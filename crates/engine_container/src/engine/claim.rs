//! What keeps a second service of the same name away from what this one removes by name.
//!
//! The lock of a service is in its state root, and that may be another directory for a second service of the same
//! endpoint: one in mounts of its own. What both would remove says whose it is: control groups by an attribute
//! ([`owner`]), the directory of scratches by a file with the same text, which a service holds locked.
//!
//! Only a service that lives keeps another one away. Nothing is written where nothing changes: the file system of
//! scratches may take no writes for a while, and a service would wait for it before it serves.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::{
        fd::OwnedFd,
        unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    },
    path::Path,
};

use hcs_wire::trust::Trusted;
use rustix::{
    fs::{FlockOperation, OFlags, flock},
    io::Errno,
};

use crate::{
    cgroup::owner::{self, LONGEST, is_other},
    config::EngineConfig,
    privilege::Privilege,
    record::{boot_id, is_guid},
};

/// The file in the directory of scratches.
const LOCK: &str = "hcsd.lock";

/// What keeps a second service of the same name away, until it is dropped.
#[derive(Debug)]
pub struct Claim {
    _scratches: Option<OwnedFd>,
    warnings: Vec<String>,
}

impl Claim {
    /// Makes the calling process the service whose control groups and scratches have these names. Before anything is
    /// made or removed by them.
    ///
    /// # Errors
    /// The sentence to be shown: they are another service's.
    pub fn take(config: &EngineConfig, state_root: &Path) -> Result<Self, String> {
        let boot = boot_id().map_err(|error| io::Error::from(error.errno));
        let own = boot
            .and_then(|boot| owner::identity(state_root, &boot))
            .map_err(|e| format!("{} cannot be looked at: {e}", state_root.display()))?;
        if Privilege::own() == Privilege::Root
            && let Some(group) = owner::used_by_another(&config.cgroup_root, &own, is_guid)
        {
            return Err(another("the control group", &group, state_root));
        }
        let mut warnings = Vec::new();
        let scratches = &config.scratch_root;
        // The service has the lock of its state root.
        let is_guarded = scratches.starts_with(state_root);
        let made = match is_guarded {
            true => Ok(None),
            false => Trusted::of_process()
                .directory(scratches, Some(0o700))
                .map(Some),
        };
        let held = match made {
            Ok(None) => None,
            Ok(Some(_)) => take_scratches(scratches, state_root, &own, &mut warnings)?,
            Err(untrusted) => {
                warnings.push(unguarded(scratches, &untrusted));
                None
            }
        };
        owner::belong_to(own);
        Ok(Self {
            _scratches: held,
            warnings,
        })
    }

    /// What is not as it should be, in sentences to be shown.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

fn another(what: &str, path: &Path, state_root: &Path) -> String {
    format!(
        "{what} {} is in use by a host compute service of the same name, which has another directory at {} (another \
         file system is mounted there for it): use that service from where it runs, or name another socket by \
         HCS_ENDPOINT",
        path.display(),
        state_root.display()
    )
}

fn unguarded(path: &Path, fault: &dyn fmt::Display) -> String {
    format!(
        "a second service of the same name would not be kept away from the scratches of this one, as {} cannot be \
         used: {fault}",
        path.display()
    )
}

/// Locks the directory of scratches. `None` where a service of the same state root has it, which was killed and cannot
/// end, and where nothing can be written.
fn take_scratches(
    directory: &Path,
    state_root: &Path,
    own: &str,
    warnings: &mut Vec<String>,
) -> Result<Option<OwnedFd>, String> {
    let path = directory.join(LOCK);
    let failed = |e: io::Error| format!("{} cannot be locked: {e}", path.display());
    let file = match open(&path) {
        // Nothing is there, and no other service could have anything there either.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) if is_unwritable(&e) => {
            warnings.push(unguarded(&path, &e));
            return Ok(None);
        }
        opened => opened.map_err(failed)?,
    };
    let locked = flock(&file, FlockOperation::NonBlockingLockExclusive);
    // Before that, another service may be about to write it.
    let found = text(&file);
    match locked {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) if found == own => return Ok(None),
        Err(Errno::WOULDBLOCK) => return Err(another("the directory", directory, state_root)),
        // A file system of a network may want a descriptor for writing, or have no locks.
        Err(errno @ (Errno::BADF | Errno::NOLCK | Errno::OPNOTSUPP)) => {
            warnings.push(unguarded(&path, &errno));
            return Ok(None);
        }
        Err(errno) => return Err(failed(errno.into())),
    }
    if found == own {
        return Ok(Some(file.into()));
    }
    if is_other(&found, own) && has_scratches(directory) {
        warnings.push(format!(
            "{} has what containers of another host compute service of the same name wrote, which is gone: it is \
             removed, except for what containers may still use",
            directory.display()
        ));
    }
    if let Err(e) = sign(&path, &file, own) {
        warnings.push(format!("{} cannot be written: {e}", path.display()));
    }
    Ok(Some(file.into()))
}

/// Opens the file for reading, which is enough to lock it, and makes it where there is none.
fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options
        .read(true)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    match options.open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            options.write(true).create(true).truncate(false).open(path)
        }
        opened => opened,
    }
}

/// Whether nothing can be made or written there, at least for now.
fn is_unwritable(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::ROFS | Errno::NOSPC | Errno::DQUOT | Errno::ACCESS | Errno::PERM)
    )
}

fn text(file: &File) -> String {
    let mut text = String::new();
    let limit = u64::try_from(LONGEST).unwrap_or(u64::MAX);
    // What is no text is no identity.
    let _read = file.take(limit).read_to_string(&mut text);
    text
}

/// Writes down whose the file is, which is held locked.
fn sign(path: &Path, held: &File, own: &str) -> io::Result<()> {
    let mut file = File::options()
        .write(true)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)?;
    let identity = |file: &File| file.metadata().map(|found| (found.dev(), found.ino()));
    if identity(&file)? != identity(held)? {
        return Err(io::Error::other("another file is there by now"));
    }
    // A full file system takes what needs no more room than before.
    file.write_all(own.as_bytes())?;
    file.set_len(u64::try_from(own.len()).unwrap_or(u64::MAX))
}

fn has_scratches(directory: &Path) -> bool {
    let mut entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.any(|entry| entry.file_name().to_str().is_some_and(is_guid))
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    const GUID: &str = "3f2504e0-4f89-11d3-9a0c-0305e82c3301";

    #[test]
    fn scratches_have_one_service_at_a_time() {
        let place = tempfile::tempdir().unwrap();
        let take = |own: &str| {
            let mut warnings = Vec::new();
            let held = take_scratches(place.path(), Path::new("/run/x"), own, &mut warnings);
            held.map(|held| (held, warnings))
        };
        let (held, warnings) = take("boot 1 2").unwrap();
        assert!(held.is_some() && warnings.is_empty(), "{warnings:?}");
        let refused = take("boot 1 3").unwrap_err();
        assert!(refused.contains("in use by"), "{refused}");
        let (other, _) = take("boot 1 2").unwrap();
        assert!(other.is_none(), "of one that cannot end");
        drop(held);
        drop(take("boot 1 333").unwrap());
        let text = || fs::read_to_string(place.path().join(LOCK)).unwrap();
        assert_eq!(text(), "boot 1 333");
        // What containers wrote, whose service is gone: that keeps none away.
        fs::create_dir(place.path().join(GUID)).unwrap();
        for (own, warned) in [("boot 1 2", 1), ("boot 1 2", 0), ("later 1 2", 0)] {
            let (held, warnings) = take(own).unwrap();
            assert!(held.is_some());
            assert_eq!(warnings.len(), warned, "{own}: {warnings:?}");
            assert_eq!(text(), own);
        }
        let none = place.path().join("none");
        let held = take_scratches(&none, Path::new("/"), "boot 1 2", &mut Vec::new());
        assert!(held.unwrap().is_none());
    }

    /// The file system may be frozen.
    #[test]
    fn a_service_of_the_same_state_root_writes_nothing() {
        let place = tempfile::tempdir().unwrap();
        let take = || {
            let own = "boot 1 2";
            take_scratches(place.path(), Path::new("/run/x"), own, &mut Vec::new()).unwrap()
        };
        drop(take().unwrap());
        let path = place.path().join(LOCK);
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(UNIX_EPOCH).unwrap();
        assert!(take().is_some());
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), UNIX_EPOCH);
    }
}
