//! Contents by their digests, in the folder `blobs/sha256` of an OCI image layout.
//!
//! A content gets its name when all of it is on disk and has the digest; so what has a name is whole.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write as _},
    os::unix::{ffi::OsStrExt as _, fs::OpenOptionsExt as _},
    path::{Path, PathBuf},
    process,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rustix::io::Errno;

use super::folders::{Folder, Folders, open_file, read_whole};
use crate::{
    Digest, Refusal, StorageError,
    limits::Deadline,
    measure::{Content, Measured, Metered},
};

/// How names of contents begin that are not whole yet.
pub(super) const PARTIAL: &str = ".partial-";

/// The folder.
#[derive(Clone, Debug)]
pub(super) struct Blobs {
    folder: PathBuf,
    /// Those of the store whose folder of contents it is, if it is that of one.
    store: Option<Arc<Folders>>,
}

impl Blobs {
    pub(super) const fn new(folder: PathBuf) -> Self {
        let store = None;
        Self { folder, store }
    }

    /// Those of a store, whose folder of contents has that path.
    pub(super) const fn of_store(folders: Arc<Folders>, folder: PathBuf) -> Self {
        let store = Some(folders);
        Self { folder, store }
    }

    /// Where the content of `digest` is, or would be.
    pub(super) fn path(&self, digest: Digest) -> PathBuf {
        self.folder.join(digest.hex())
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Opens the content of `digest`.
    ///
    /// # Errors
    /// It is not there.
    pub(super) fn open(&self, digest: Digest) -> Result<File, StorageError> {
        self.open_sized(digest).map(|(file, _)| file)
    }

    fn open_sized(&self, digest: Digest) -> Result<(File, u64), StorageError> {
        let opened = match &self.store {
            Some(folders) => folders.open_file(Folder::Contents, &digest.hex()),
            None => open_file(&self.path(digest)),
        };
        opened.map_err(|error| failed("opening", &self.path(digest), &error))
    }

    /// Whether a content is there. One no longer than a document may be is read to be sure: a damaged one is replaced
    /// by a load or pull. A longer one is read when it is unpacked.
    pub(super) fn has(&self, content: Content) -> bool {
        let there = fs::symlink_metadata(self.path(content.digest));
        let is_there = there.is_ok_and(|there| there.is_file() && there.len() == content.size);
        let is_whole = || {
            let text = self.document(content.digest);
            text.is_ok_and(|text| Digest::of(&text) == content.digest)
        };
        is_there && (content.size > super::document::LARGEST || is_whole())
    }

    /// The document with that digest.
    pub(super) fn document(&self, digest: Digest) -> Result<Vec<u8>, StorageError> {
        let read = read_whole(self.open_sized(digest)?, super::document::LARGEST);
        read.map_err(|error| failed("reading", &self.path(digest), &error))
    }

    /// Takes the content of `digest` from a folder of the same file system, where it was kept.
    pub(super) fn take_over(&self, from: &Self, digest: Digest) -> Result<(), StorageError> {
        let path = self.path(digest);
        let moved = fs::rename(from.path(digest), &path);
        moved.map_err(|error| failed("giving its name to", &path, &error))?;
        sync_folder(&self.folder)
    }

    /// Removes the content of `digest` where it has other bytes than that: it is had again then.
    pub(super) fn drop_damaged(&self, digest: Digest) {
        let Ok(file) = self.open(digest) else {
            return;
        };
        let mut measured = Measured::new(file, u64::MAX, Deadline::after(std::time::Duration::MAX));
        let read = io::copy(&mut measured, &mut io::sink());
        if read.is_ok() && measured.content().digest != digest {
            // The failure that led here is what is told.
            let _left = fs::remove_file(self.path(digest));
        }
    }

    /// Keeps `text`; returns its digest.
    pub(super) fn keep_document(&self, text: &[u8]) -> Result<Content, StorageError> {
        let limit = text.len() as u64;
        self.keep(text, limit, Deadline::after(std::time::Duration::MAX), None)
    }

    /// Keeps what `source` has, at most `limit` bytes; returns its digest and size, which have to be those `expected`.
    pub(super) fn keep(
        &self,
        source: impl Read,
        limit: u64,
        deadline: Deadline,
        expected: Option<Content>,
    ) -> Result<Content, StorageError> {
        if let Some(content) = expected.filter(|content| self.has(*content)) {
            return Ok(content);
        }
        let keeping = self.begin(source, limit, deadline, expected)?;
        self.end(keeping)
    }

    /// Begins to keep what `source` has, of which [`Blobs::keep`] says the rest: it is kept as far as it is read.
    pub(super) fn begin<R: Read>(
        &self,
        source: R,
        limit: u64,
        deadline: Deadline,
        expected: Option<Content>,
    ) -> Result<Keeping<R>, StorageError> {
        let limit = expected.map_or(limit, |content| content.size.min(limit));
        Ok(Keeping {
            measured: Measured::new(source, limit, deadline),
            partial: Partial::new(&self.folder)?,
            expected,
            unwritten: None,
        })
    }

    /// Keeps what is left of it, and checks and names all of it.
    pub(super) fn end<R: Read>(&self, mut keeping: Keeping<R>) -> Result<Content, StorageError> {
        let expected = keeping.expected;
        let what = expected.map_or_else(
            || "a content".to_owned(),
            |content| content.digest.to_string(),
        );
        let kept = keeping.read_all();
        kept.map_err(|error| StorageError::stream("copying a content", &what, error))?;
        let found = keeping.measured.content();
        check(found, expected).map_err(|refusal| StorageError::Refused { what, refusal })?;
        keeping.partial.commit(&self.path(found.digest))?;
        sync_folder(&self.folder)?;
        Ok(found)
    }
}

/// Bytes that are kept at once.
const PIECE: usize = 64 << 10;

/// A content that is kept while it is read.
pub(super) struct Keeping<R> {
    measured: Measured<R>,
    partial: Partial,
    expected: Option<Content>,
    /// What has been read and is not in the file: it is no content then, whatever its digest.
    unwritten: Option<io::Error>,
}

impl<R: Read> Keeping<R> {
    fn read_all(&mut self) -> io::Result<()> {
        let mut piece = vec![0; PIECE];
        loop {
            match self.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl<R: Read> Read for Keeping<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(error) = &self.unwritten {
            return Err(again(error));
        }
        let read = self.measured.read(buffer)?;
        let written = self.partial.file.write_all(&buffer[..read]);
        written.inspect_err(|error| self.unwritten = Some(again(error)))?;
        Ok(read)
    }
}

/// The same error for a second time; its number is what the caller is told.
fn again(error: &io::Error) -> io::Error {
    let number = error.raw_os_error();
    number.map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

impl<R: Read> Metered for Keeping<R> {
    fn passed(&self) -> Content {
        self.measured.content()
    }
}

impl Blobs {
    /// Keeps what `write` writes; it answers the digest and size of that.
    pub(super) fn keep_written(
        &self,
        write: impl FnOnce(&mut File) -> Result<Content, StorageError>,
    ) -> Result<Content, StorageError> {
        let mut partial = Partial::new(&self.folder)?;
        let content = write(&mut partial.file)?;
        partial.commit(&self.path(content.digest))?;
        sync_folder(&self.folder)?;
        Ok(content)
    }
}

fn check(found: Content, expected: Option<Content>) -> Result<(), Refusal> {
    match expected {
        Some(expected) if expected.size != found.size => Err(Refusal::WrongSize {
            expected: expected.size,
            found: found.size,
        }),
        Some(expected) if expected.digest != found.digest => Err(Refusal::WrongDigest {
            expected: expected.digest.to_string(),
            found: found.digest.to_string(),
        }),
        _ => Ok(()),
    }
}

/// A file that is removed unless it gets its name.
pub(super) struct Partial {
    path: PathBuf,
    file: File,
    committed: bool,
}

impl Partial {
    pub(super) fn new(folder: &Path) -> Result<Self, StorageError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!("{PARTIAL}{}-{number}", process::id()));
            let options = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path);
            match options {
                Ok(file) => {
                    let committed = false;
                    return Ok(Self {
                        path,
                        file,
                        committed,
                    });
                }
                // A killed process with the same number left it.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed("making a file in", folder, &error)),
            }
        }
    }

    /// Writes `text`.
    pub(super) fn write(&mut self, text: &[u8]) -> Result<(), StorageError> {
        let written = self.file.write_all(text);
        written.map_err(|error| failed("writing", &self.path, &error))
    }

    /// Gives it the name `path`, in place of what has it, once it is on disk.
    pub(super) fn commit(self, path: &Path) -> Result<(), StorageError> {
        let synced = self.file.sync_all();
        synced.map_err(|error| failed("writing to disk", path, &error))?;
        self.put(path)
    }

    /// Gives it the name `path`, in place of what has it, for as long as the machine runs.
    pub(super) fn put(mut self, path: &Path) -> Result<(), StorageError> {
        fs::rename(&self.path, path).map_err(|error| failed("giving its name to", path, &error))?;
        self.committed = true;
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.committed {
            // What cannot be removed is left to the next sweep.
            let _left = fs::remove_file(&self.path);
        }
    }
}

/// Writes the names in `folder` to disk.
pub(super) fn sync_folder(folder: &Path) -> Result<(), StorageError> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| failed("writing to disk the names in", folder, &error))
}

/// A failed step on `path`.
pub(super) fn failed(action: &'static str, path: &Path, error: &io::Error) -> StorageError {
    let errno = Errno::from_io_error(error).unwrap_or(Errno::IO);
    StorageError::step(action, path.as_os_str().as_bytes(), errno)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_was_read_and_could_not_be_written_is_no_content() {
        let place = tempfile::tempdir().unwrap();
        let blobs = Blobs::new(place.path().to_owned());
        let deadline = Deadline::after(Duration::MAX);
        let mut keeping = blobs.begin(&b"text"[..], 10, deadline, None).unwrap();
        let path = keeping.partial.path.clone();
        keeping.partial.file = File::open(&path).unwrap();
        let first = keeping.read(&mut [0; 2]).unwrap_err();
        keeping.partial.file = OpenOptions::new().write(true).open(&path).unwrap();
        let second = keeping.read(&mut [0; 2]).unwrap_err();
        assert_eq!(first.raw_os_error(), second.raw_os_error());
        assert!(first.raw_os_error().is_some());
        assert!(blobs.end(keeping).is_err());
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }
}
