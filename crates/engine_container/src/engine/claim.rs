//! What keeps a second service of the same name away from what this one removes by name.
//!
//! The lock of a service is in its state root, and that may be another directory for a second service of the same
//! endpoint: one in mounts of its own. What both would remove says whose it is: control groups by an attribute
//! ([`owner`]), the directory of scratches by a file with the same text, which a service holds locked.

use std::{
    fs::{self, File},
    io::{self, Read as _, Seek as _, Write as _},
    os::{fd::OwnedFd, unix::fs::OpenOptionsExt as _},
    path::Path,
};

use rustix::{
    fs::{FlockOperation, OFlags, flock},
    io::Errno,
};

use super::sweep::is_guid;
use crate::{
    cgroup::owner::{self, LONGEST, is_other},
    config::EngineConfig,
    privilege::Privilege,
    record::boot_id,
};

/// The file in the directory of scratches.
const LOCK: &str = "hcsd.lock";

/// What keeps a second service of the same name away, until it is dropped.
#[derive(Debug)]
pub struct Claim {
    _scratches: Option<OwnedFd>,
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
        let inside = config.scratch_root.starts_with(state_root);
        let scratches = match inside {
            // The service has the lock of that.
            true => None,
            false => take_scratches(&config.scratch_root, state_root, &own)?,
        };
        owner::belong_to(own);
        Ok(Self {
            _scratches: scratches,
        })
    }
}

fn another(what: &str, path: &Path, state_root: &Path) -> String {
    format!(
        "{what} {} is in use by a host compute service of the same name, which has another directory at {} (another file \
         system is mounted there for it): use that service from where it runs, or name another socket by HCS_ENDPOINT",
        path.display(),
        state_root.display()
    )
}

/// Locks the directory of scratches. `None` where a service of the same state root has it, which was killed and cannot
/// end.
fn take_scratches(
    directory: &Path,
    state_root: &Path,
    own: &str,
) -> Result<Option<OwnedFd>, String> {
    let path = directory.join(LOCK);
    let failed = |e: io::Error| format!("{} cannot be locked: {e}", path.display());
    let opened = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(&path);
    let mut file = match opened {
        // Nothing is there, and no other service could have anything there either.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    let mut found = String::new();
    let limit = u64::try_from(LONGEST).unwrap_or(u64::MAX);
    // What is no text is no identity.
    let _read = (&file).take(limit).read_to_string(&mut found);
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) if found == own => return Ok(None),
        Err(Errno::WOULDBLOCK) => return Err(another("the directory", directory, state_root)),
        Err(errno) => return Err(failed(errno.into())),
    }
    if is_other(&found, own) && has_scratches(directory) {
        return Err(format!(
            "{} has what containers of a host compute service of the same name wrote, which had another directory at {}: \
             use that service from where it ran, or remove {} if none of its containers lives",
            directory.display(),
            state_root.display(),
            path.display()
        ));
    }
    let written = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(own.as_bytes()));
    written.map_err(failed)?;
    Ok(Some(file.into()))
}

fn has_scratches(directory: &Path) -> bool {
    let mut entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.any(|entry| entry.file_name().to_str().is_some_and(is_guid))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUID: &str = "3f2504e0-4f89-11d3-9a0c-0305e82c3301";

    #[test]
    fn scratches_have_one_service_at_a_time() {
        let place = tempfile::tempdir().unwrap();
        let take = |own: &str| take_scratches(place.path(), Path::new("/run/x"), own);
        let held = take("boot 1 2").unwrap();
        assert!(held.is_some());
        let refused = take("boot 1 3").unwrap_err();
        assert!(refused.contains("in use by"), "{refused}");
        assert!(
            take("boot 1 2").unwrap().is_none(),
            "of one that cannot end"
        );
        drop(held);
        drop(take("boot 1 3").unwrap());
        // What containers wrote, whose service is gone.
        fs::create_dir(place.path().join(GUID)).unwrap();
        let refused = take("boot 1 2").unwrap_err();
        assert!(refused.contains("or remove"), "{refused}");
        assert!(take("boot 1 3").unwrap().is_some());
        assert!(take("later 1 2").unwrap().is_some());
        assert!(
            take_scratches(&place.path().join("none"), Path::new("/"), "boot 1 2")
                .unwrap()
                .is_none()
        );
    }
}
