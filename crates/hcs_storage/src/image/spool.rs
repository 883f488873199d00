//! What comes from outside is read to its end before the store is in use: a sender that says nothing for hours keeps no
//! process from removing something.
//!
//! A spool is a directory of `incoming` that is locked ([`holds`]) for as long as its process uses it. So what a killed
//! one left is known by being free, whatever number its process had: those of other namespaces may have the same. A
//! container that has the store mapped may lock it as well: that keeps what was left from being removed, and no more.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Read, Write as _},
    os::{
        fd::{AsFd as _, AsRawFd as _},
        unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
    process,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use hcs_wire::holds::{self, Hold, Kind};
use rustix::fs::OFlags;

use super::{
    Store,
    blobs::failed,
    folders::{Folder, Folders},
};
use crate::{
    Refusal, StorageError, compression, layer,
    limits::{Budget, charge},
};

/// Bytes that are copied at once.
const PIECE: usize = 128 << 10;

/// A directory that is removed in the end.
pub(super) struct Spool {
    path: PathBuf,
    /// Keeps others from removing it, and is given up before it can be gone.
    _held: (Option<Hold>, Option<Hold>),
    /// It. All in it is below this, whatever its name leads to by now.
    opened: File,
    /// That of `incoming` is in the path.
    _folders: Arc<Folders>,
}

impl Store {
    /// Makes one.
    pub(super) fn spool(&self) -> Result<Spool, StorageError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        // What removes spools has the store alone, so it meets none that is not locked yet.
        let _use = self.using()?;
        let path = loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = self
                .folders
                .made(Folder::Incoming)?
                .join(format!("{}-{number}", process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => break path,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed("making the directory", &path, &error)),
            }
        };
        let locked = open(&path).and_then(|folder| {
            let held = holds::take_made(folder.as_fd())?;
            Ok((folder, held))
        });
        let (opened, held) = locked.map_err(|error| failed("locking", &path, &error))?;
        let spool = Spool {
            path,
            _held: held,
            opened,
            _folders: Arc::clone(&self.folders),
        };
        let contents = spool.contents();
        let made = DirBuilder::new().mode(0o700).create(&contents);
        made.map_err(|error| failed("making the directory", &contents, &error))?;
        Ok(spool)
    }
}

impl Spool {
    /// Keeps a stream, which may be compressed, as it is after decompression. What is in the file is not written to
    /// disk for good: it goes with this process.
    pub(super) fn keep_plain(
        &self,
        stream: impl Read,
        budget: &Budget,
    ) -> Result<File, StorageError> {
        let path = self.contents().join("archive");
        let made = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path);
        let mut file = made.map_err(|error| failed("making", &path, &error))?;
        let kept = copy(stream, &mut file, budget);
        kept.map_err(|error| StorageError::stream("reading the archive", "the archive", error))?;
        Ok(file)
    }

    /// The directory for contents: what unpacks into it locks it for itself.
    pub(super) fn contents(&self) -> PathBuf {
        format!("/proc/self/fd/{}/contents", self.opened.as_raw_fd()).into()
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        // What cannot be removed is left to the next process that has the store alone.
        let _left = layer::remove(&self.path);
    }
}

/// Copies what a stream is after decompression, as far as `budget` goes.
fn copy(stream: impl Read, file: &mut File, budget: &Budget) -> io::Result<()> {
    let limit = budget.limits.bytes;
    let mut sum = 0;
    let (mut plain, _) = compression::plain(stream)?;
    let mut piece = vec![0; PIECE];
    loop {
        budget.deadline.check()?;
        let read = match plain.read(&mut piece) {
            Ok(0) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        let refusal = |limit| Refusal::TooManyBytes { limit };
        charge(&mut sum, read as u64, limit, refusal)?;
        file.write_all(&piece[..read])?;
    }
}

/// Whether no process uses what is at `path` in `incoming`.
pub(super) fn is_free(path: &Path) -> bool {
    open(path).is_ok_and(|folder| holds::take_both(folder.as_fd(), Kind::Alone).is_ok())
        || !path.is_dir()
}

fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlags::DIRECTORY | OFlags::NOFOLLOW).bits();
    let mut options = OpenOptions::new();
    let options = options.read(true).custom_flags(flags.cast_signed());
    options.open(path)
}
