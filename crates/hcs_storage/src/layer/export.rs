//! A layer becomes a tar stream.

use std::{
    io::{BufWriter, Read, Write},
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::Path,
};

use rustix::fs::{CWD, Mode, OFlags, openat};
use sha2::{Digest as _, Sha256};

use super::{Marks, Omitted, Sink, walk::Walk};
use crate::{
    Digest, Limits, StorageError,
    measure::Content,
    tar::{Entry, TarWriter},
};

/// What was exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Digest (the "diff id" of images) and size of the stream.
    pub content: Content,
    /// What the stream does not have of the folder.
    pub omitted: Omitted,
}

/// Writes the layer at `folder` to `target` as a tar stream with the marks of the OCI image specification. The same
/// files make the same bytes, whatever order the file system has them in. `folder` may be the upper directory of an
/// overlay that was mounted with `marks`. It may cost what `limits` say; holes of files count, as they are written as
/// zeros.
///
/// # Errors
/// The folder cannot be read, changes meanwhile, costs too much, or has what a layer cannot have; or `target` cannot be
/// written.
pub fn export(
    folder: &Path,
    marks: Marks,
    limits: &Limits,
    target: impl Write,
) -> Result<Exported, StorageError> {
    let buffered = BufWriter::with_capacity(64 << 10, Hashed::new(target));
    let mut archive = TarWriter::new(buffered);
    let root = open(folder)?;
    let omitted = Walk::run(&root, marks, limits, &mut archive)?;
    let buffered = archive.finish()?;
    let hashed = buffered.into_inner().map_err(|error| {
        let error = error.into_error();
        StorageError::stream("writing the archive", "the archive", error)
    })?;
    Ok(Exported {
        content: hashed.content(),
        omitted,
    })
}

/// Opens the folder that a caller names.
pub(super) fn open(folder: &Path) -> Result<OwnedFd, StorageError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, folder, flags, Mode::empty())
        .map_err(|errno| StorageError::step("opening", folder.as_os_str().as_bytes(), errno))
}

impl<W: Write> Sink for TarWriter<W> {
    fn take(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), StorageError> {
        self.entry(entry, content)
    }
}

/// Counts and hashes what is written.
struct Hashed<W> {
    target: W,
    hasher: Sha256,
    size: u64,
}

impl<W> Hashed<W> {
    fn new(target: W) -> Self {
        Self {
            target,
            hasher: Sha256::new(),
            size: 0,
        }
    }

    fn content(self) -> Content {
        Content {
            digest: Digest::finish(self.hasher),
            size: self.size,
        }
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.target.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.target.flush()
    }
}
