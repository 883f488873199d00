//! Leases: what containers use of a store, so that no process removes it.
//!
//! ```text
//! leases/RUNTIME_ID.json   {"System": "box", "Record": "/run/hcs/systems/...", "Boot": "...", "Layers": [...], ...}
//! ```
//!
//! The service that makes a container takes a lease before it tells the container of its layers. The lease holds while
//! the record of the container is there, a directory of that service's, and this boot of the host lasts. So it holds
//! after the service, its client or both were killed, for a container that was never started as well. It ends when the
//! service, or the one after it, has cleared the container away. No process has to give it back; that only keeps the
//! folder short.
//!
//! The file of a lease that has ended is kept as `spare`, for the next one: it gets the name of that, and is written
//! over. Some file systems take longer for a new file, the more of them were removed within the last minutes. Until it
//! is written over, such a file is the lease of a container that has ended: a service may be killed at any moment.
//!
//! A lease is written while `use.lock` is shared, and its layers are looked for after the lock is had. What no lease
//! holds is removed while that lock is held alone. So either the lease is seen, or the layers are missed and there is
//! no lease. `index.lock` is shared as well, so that the last name of an image goes before the lease or stays with it.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::OnceLock,
};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde::{Deserialize, Serialize};

use super::{
    Image, Store,
    blobs::{Partial, failed},
    document::{parse, text},
    folders::{Folder, read_file},
};
use crate::{Digest, Refusal, StorageError};

/// The kernel's name for this boot.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// Bytes that a reader of a file sees all at once, or not yet.
const PAGE: usize = 4096;

/// The file of a lease that has ended. A removal takes it for one that was never written.
const SPARE: &str = "spare";

/// What a container is to use.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The id that clients know the container by, for messages.
    pub system: &'a str,
    /// The name of the lease, which no other container of any service has.
    pub runtime_id: &'a str,
    /// The directory that is there while the container is.
    pub record: &'a Path,
    /// The manifest of the image.
    pub manifest: Digest,
    /// The directories of its layers; those outside of the store are the caller's own.
    pub layers: &'a [&'a Path],
}

/// A lease as it is written down. Later versions only ever add what may be missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Lease {
    system: String,
    record: PathBuf,
    boot: String,
    pub(super) manifest: Digest,
    pub(super) layers: Vec<String>,
}

impl Lease {
    /// Whether the container is there, as far as can be seen: what cannot be looked at counts as there, and so does all
    /// of a service whose directory cannot be seen, as after its user has logged out.
    fn holds(&self, boot: Option<&str>) -> bool {
        let is_seen = self.record.parent().is_none_or(Path::is_dir);
        let gone = is_seen
            && match fs::symlink_metadata(&self.record) {
                Ok(found) => !found.is_dir(),
                Err(error) => matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ),
            };
        !gone && boot.is_none_or(|boot| boot == self.boot)
    }
}

impl Store {
    /// Takes a lease on what a container is to use, and returns its file. It does not wait for a process that removes
    /// something: a caller with a [`super::Hold`] never meets one.
    ///
    /// # Errors
    /// A layer is not there, none is of this store, or something is being removed from the store.
    pub fn lease(&self, wanted: &Wanted<'_>) -> Result<PathBuf, StorageError> {
        let _use = self.using_at_once()?;
        let folder = self.layers_path();
        let mut layers = Vec::new();
        for path in wanted
            .layers
            .iter()
            .filter(|path| path.parent() == Some(&folder))
        {
            let bytes = path.as_os_str().as_encoded_bytes();
            let name = path.file_name().and_then(|name| name.to_str());
            let there = fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
            match name.filter(|_| there) {
                Some(name) => layers.push(name.to_owned()),
                None => return Err(StorageError::refused(bytes, Refusal::Missing)),
            }
        }
        if layers.is_empty() {
            let what = folder.as_os_str().as_encoded_bytes();
            return Err(StorageError::refused(what, Refusal::NoLayer));
        }
        let lease = Lease {
            system: wanted.system.to_owned(),
            record: wanted.record.to_owned(),
            boot: boot()?,
            manifest: wanted.manifest,
            layers,
        };
        let leases = self.folders.made(Folder::Leases)?;
        let name = format!("{}.json", wanted.runtime_id);
        // A name that is removed meanwhile would be that of an image without users.
        let _index = self.index_unchanged()?;
        // The container does not outlive the machine, so nothing has to be on disk.
        self.write_lease(&leases, &name, &text(&lease)?)?;
        // Other processes have no descriptor of that folder.
        Ok(self.root().join(Folder::Leases.place()).join(name))
    }

    /// Writes a lease into the folder `leases`. What reads leases to remove something is kept out by locks. What only
    /// tells of them sees an empty file, the earlier lease, or this one; a part of both it reads again. More bytes than
    /// a page has are written beside it first.
    fn write_lease(&self, leases: &Path, name: &str, text: &[u8]) -> Result<(), StorageError> {
        let path = leases.join(name);
        if text.len() > PAGE {
            let mut file = Partial::new(leases)?;
            file.write(text)?;
            return file.put(&path);
        }
        let (mut file, size) = match self.folders.take_file(Folder::Leases, SPARE, name) {
            Some(spare) => spare,
            None => {
                let made = self.folders.make_file(Folder::Leases, name);
                let file = made.map_err(|errno| failed("making", &path, &errno.into()))?;
                (file, 0)
            }
        };
        // What is left of the earlier one is covered. Cutting it off would have the file written to disk at once.
        let mut text = text.to_owned();
        text.resize(text.len().max(size), b' ');
        let written = file.write_all(&text);
        written.map_err(|error| {
            // Half a lease could not be read.
            let _gone = fs::remove_file(&path);
            failed("writing", &path, &error)
        })
    }

    /// The containers that use `image`, by the ids that clients know.
    ///
    /// # Errors
    /// The leases cannot be read.
    pub fn users(&self, image: &Image) -> Result<Vec<String>, StorageError> {
        self.users_of(image.descriptor.digest)
    }

    /// The same of the image with that manifest.
    pub(super) fn users_of(&self, manifest: Digest) -> Result<Vec<String>, StorageError> {
        let (living, _) = self.leases()?;
        let of_image = |lease: &&Lease| lease.manifest == manifest;
        let users = living.iter().filter(of_image);
        let mut users: Vec<String> = users.map(|lease| lease.system.clone()).collect();
        users.sort();
        Ok(users)
    }

    /// The leases that hold, and the files of those that do not.
    pub(super) fn leases(&self) -> Result<(Vec<Lease>, Vec<PathBuf>), StorageError> {
        let folder = self.folders.path(Folder::Leases)?;
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Default::default()),
            Err(error) => return Err(failed("reading", &folder, &error)),
        };
        // Where the boot cannot be told, all leases are of this one.
        let boot = boot().ok();
        let (mut living, mut dead) = (BTreeMap::new(), Vec::new());
        for entry in entries {
            let path = entry
                .map_err(|error| failed("reading", &folder, &error))?
                .path();
            if path.extension().is_none_or(|extension| extension != "json") {
                // Of a process that was killed while it wrote, or that writes now.
                dead.push(path);
                continue;
            }
            match read_lease(&path)? {
                Read::Lease(lease) if lease.holds(boot.as_deref()) => {
                    living.insert(path, *lease);
                }
                Read::Lease(_) | Read::Nothing => dead.push(path),
                Read::Gone => {}
            }
        }
        Ok((living.into_values().collect(), dead))
    }
}

/// What was read of the file of a lease.
enum Read {
    Lease(Box<Lease>),
    /// A lease is written at once, so only one that the machine went down with can be empty.
    Nothing,
    /// The container ended meanwhile.
    Gone,
}

/// Reads a lease. One that is just written over an earlier one may come in part: that is over when it is read again.
fn read_lease(path: &Path) -> Result<Read, StorageError> {
    read_lease_once(path).or_else(|_| read_lease_once(path))
}

fn read_lease_once(path: &Path) -> Result<Read, StorageError> {
    let text = match read_file(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Read::Gone),
        Err(error) => return Err(failed("reading", path, &error)),
    };
    if text.iter().all(|byte| *byte == 0) {
        return Ok(Read::Nothing);
    }
    parse(&text, &path.display().to_string()).map(|lease| Read::Lease(Box::new(lease)))
}

/// Gives back the lease whose file [`Store::lease`] has returned. A file that cannot be kept as spare is removed; what
/// cannot be removed holds no longer than the record of its container.
pub fn give_back(file: &Path) {
    let spare = file.with_file_name(SPARE);
    let kept = renameat_with(CWD, file, CWD, &spare, RenameFlags::NOREPLACE);
    if kept.is_err() {
        let _ends_by_itself = fs::remove_file(file);
    }
}

/// The name of this boot.
fn boot() -> Result<String, StorageError> {
    static NAME: OnceLock<String> = OnceLock::new();
    if let Some(name) = NAME.get() {
        return Ok(name.clone());
    }
    let text =
        fs::read_to_string(BOOT).map_err(|error| failed("reading", Path::new(BOOT), &error))?;
    Ok(NAME.get_or_init(|| text.trim().to_owned()).clone())
}
