//! Files of a foreign image layout, read without leaving it: of a folder, or of an archive of one.
//!
//! Links inside of the layout are followed, because `docker save` makes some; none leads out (`RESOLVE_BENEATH`). What
//! is no regular file is not opened: a device may do anything then.

use std::{
    fs::File,
    io::{self, Read},
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

use rustix::{
    fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat},
    io::Errno,
};

use super::{
    archive::{Archive, Part},
    document::{Descriptor, LARGEST},
};
use crate::{Digest, Refusal, StorageError, beneath};

/// What has an image layout.
pub(super) enum Source {
    /// A directory.
    Folder(OwnedFd),
    /// An archive of one.
    Archive(Archive),
}

/// A file of a layout.
pub(super) enum Opened {
    File(File),
    Part(Box<Part>),
}

impl Read for Opened {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(buffer),
            Self::Part(part) => part.read(buffer),
        }
    }
}

impl Source {
    /// Opens the directory at `path`.
    pub(super) fn open(path: &Path) -> Result<Self, StorageError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, path, flags, Mode::empty());
        let failed = |errno| StorageError::step("opening", path.as_os_str().as_bytes(), errno);
        root.map(Self::Folder).map_err(failed)
    }

    /// The regular file at `path`, with its size; none where nothing is there.
    pub(super) fn file(&self, path: &str) -> Result<Option<(Opened, u64)>, StorageError> {
        match self {
            Self::Folder(root) => {
                let found = in_folder(root, path)?;
                Ok(found.map(|(file, size)| (Opened::File(file), size)))
            }
            Self::Archive(archive) => {
                let found = archive.file(path)?;
                Ok(found.map(|(part, size)| (Opened::Part(Box::new(part)), size)))
            }
        }
    }

    /// The same, which has to be there.
    pub(super) fn needed(&self, path: &str) -> Result<(Opened, u64), StorageError> {
        self.file(path)?
            .ok_or_else(|| refused(path, Refusal::Missing))
    }

    /// The document at `path`; none where nothing is there.
    pub(super) fn document(&self, path: &str) -> Result<Option<Vec<u8>>, StorageError> {
        let Some((file, size)) = self.file(path)? else {
            return Ok(None);
        };
        if size > LARGEST {
            return Err(refused(path, Refusal::TooManyBytes { limit: LARGEST }));
        }
        let mut text = Vec::new();
        let read = file.take(LARGEST).read_to_end(&mut text);
        read.map_err(|error| StorageError::stream("reading a document", path, error))?;
        Ok(Some(text))
    }

    /// The document that `descriptor` is of, which has its size and digest.
    pub(super) fn described(&self, descriptor: &Descriptor) -> Result<Vec<u8>, StorageError> {
        let path = blob(descriptor.digest);
        let text = self.document(&path)?;
        let text = text.ok_or_else(|| refused(&path, Refusal::Missing))?;
        if text.len() as u64 != descriptor.size {
            let refusal = Refusal::WrongSize {
                expected: descriptor.size,
                found: text.len() as u64,
            };
            return Err(refused(&path, refusal));
        }
        let found = Digest::of(&text);
        if found != descriptor.digest {
            let refusal = Refusal::WrongDigest {
                expected: descriptor.digest.to_string(),
                found: found.to_string(),
            };
            return Err(refused(&path, refusal));
        }
        Ok(text)
    }
}

/// The regular file at `path` in the folder `root`, with its size; none where nothing is there.
fn in_folder(root: &OwnedFd, path: &str) -> Result<Option<(File, u64)>, StorageError> {
    let failed = |errno| StorageError::step("opening", path.as_bytes(), errno);
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let found = match beneath::open(root, path, flags, ResolveFlags::NO_MAGICLINKS) {
        Ok(found) => found,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        Err(Errno::XDEV) => return Err(refused(path, Refusal::Traversal)),
        Err(errno) => return Err(failed(errno)),
    };
    let stat = fstat(&found).map_err(failed)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(refused(path, Refusal::NoFile));
    }
    let found = format!("/proc/self/fd/{}", found.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = openat(CWD, found, flags, Mode::empty()).map_err(failed)?;
    let size = u64::try_from(stat.st_size).unwrap_or_default();
    Ok(Some((file.into(), size)))
}

/// Where a layout has the content of `digest`.
pub(super) fn blob(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn refused(path: &str, refusal: Refusal) -> StorageError {
    StorageError::refused(path.as_bytes(), refusal)
}
