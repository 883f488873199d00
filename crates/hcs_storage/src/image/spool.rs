//! What comes from outside is read to its end before the store is in use: a sender that says nothing for hours keeps no
//! process from removing something.
//!
//! A spool is a directory of `incoming` that is locked (`flock`) for as long as its process uses it. So what a killed
//! one left is known by being free, whatever number its process had: those of other namespaces may have the same.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::fs::{FlockOperation, OFlags, flock};

use super::{Store, blobs::failed, store::make_folder};
use crate::{StorageError, layer};

/// A directory that is removed in the end.
pub(super) struct Spool {
    path: PathBuf,
    _lock: File,
}

impl Store {
    /// Makes one.
    pub(super) fn spool(&self) -> Result<Spool, StorageError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        // What removes spools has the store alone, so it meets none that is not locked yet.
        let _use = self.using()?;
        let path = loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = self.incoming().join(format!("{}-{number}", process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => break path,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed("making the directory", &path, &error)),
            }
        };
        let locked = open(&path).and_then(|folder| {
            flock(&folder, FlockOperation::NonBlockingLockExclusive)?;
            Ok(folder)
        });
        let lock = locked.map_err(|error| failed("locking", &path, &error))?;
        let spool = Spool { path, _lock: lock };
        make_folder(&spool.contents())?;
        Ok(spool)
    }
}

impl Spool {
    /// The directory for contents: what unpacks into it locks it for itself.
    pub(super) fn contents(&self) -> PathBuf {
        self.path.join("contents")
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        // What cannot be removed is left to the next process that has the store alone.
        let _left = layer::remove(&self.path);
    }
}

/// Whether no process uses what is at `path` in `incoming`.
pub(super) fn is_free(path: &Path) -> bool {
    open(path).is_ok_and(|folder| flock(&folder, FlockOperation::NonBlockingLockExclusive).is_ok())
        || !path.is_dir()
}

fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlags::DIRECTORY | OFlags::NOFOLLOW).bits();
    let mut options = OpenOptions::new();
    let options = options.read(true).custom_flags(flags.cast_signed());
    options.open(path)
}
