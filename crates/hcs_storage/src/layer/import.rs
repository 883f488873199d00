//! A tar stream or a folder becomes a layer, whole or not at all.

use std::{
    io::{self, Read},
    path::Path,
};

use super::{
    Marks, Omitted, Options, Rights, Sink as _, export,
    staging::{Entrance, Staging},
    unpack::Unpacker,
    walk::Walk,
};
use crate::{
    Digest, Refusal, StorageError,
    compression::{self, Compression},
    limits::Budget,
    measure::{Content, Measured},
    tar::TarReader,
};

/// What a stream was announced to be. What is not announced is not checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// Digest of the stream.
    pub digest: Option<Digest>,
    /// Bytes of the stream.
    pub size: Option<u64>,
    /// Digest after decompression.
    pub diff_id: Option<Digest>,
}

/// What was imported from a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The stream.
    pub stream: Content,
    /// How it was compressed.
    pub compression: Compression,
    /// The stream after decompression; its digest is the "diff id" of images.
    pub plain: Content,
    /// What the layer does not have of the stream.
    pub omitted: Omitted,
}

/// Makes the layer at `target`, where nothing is yet, of a tar stream, which may be compressed by gzip or zstd. The
/// stream is read to its end.
///
/// # Errors
/// The stream cannot be read, is refused, or is not what is `expected`; or the layer cannot be written. Nothing is at
/// `target` then, nor beside it.
pub fn import_tar(
    stream: impl Read,
    target: &Path,
    options: &Options,
    expected: &Expected,
) -> Result<Imported, StorageError> {
    let mut budget = Budget::of(&options.limits);
    import_within(stream, target, options.rights, expected, &mut budget)
}

/// The same, into a directory that others may enter: the layer is closed to them.
///
/// # Errors
/// As of [`import_tar`].
pub(super) fn import_tar_closed(
    stream: impl Read,
    target: &Path,
    options: &Options,
) -> Result<(), StorageError> {
    let mut budget = Budget::of(&options.limits);
    let staging = Staging::begin(target, Entrance::closed_for(options.rights))?;
    fill(
        staging,
        stream,
        options.rights,
        &Expected::default(),
        &mut budget,
    )
    .map(|_| ())
}

/// As [`import_tar`], with what is left of `budget`.
///
/// # Errors
/// As of [`import_tar`].
pub(crate) fn import_within(
    stream: impl Read,
    target: &Path,
    rights: Rights,
    expected: &Expected,
    budget: &mut Budget,
) -> Result<Imported, StorageError> {
    let staging = Staging::begin(target, Entrance::AsItIs)?;
    fill(staging, stream, rights, expected, budget)
}

/// Unpacks a stream into the layer that is begun.
fn fill(
    staging: Staging,
    stream: impl Read,
    rights: Rights,
    expected: &Expected,
    budget: &mut Budget,
) -> Result<Imported, StorageError> {
    let (limit, deadline) = (budget.limits.bytes, budget.deadline);
    // A stream that grows by compression cannot be larger than what it makes, but for its own headers.
    let most = limit.saturating_add(1 << 20);
    let stream = Announced {
        left: expected.size,
        source: stream,
        expected: expected.size.unwrap_or_default(),
    };
    let measured = Measured::new(stream, most, deadline);
    let (plain, compression) = compression::plain(measured).map_err(unreadable)?;
    let plain = Measured::new(plain, limit, deadline).beyond(budget.plain);
    let plain = io::BufReader::with_capacity(64 << 10, plain);
    let mut archive = TarReader::within(plain, budget);
    let mut unpacker = Unpacker::new(staging.root(), rights);
    while let Some(entry) = archive.next_entry()? {
        unpacker.take(&entry, &mut archive)?;
        let more = unpacker.take_unnamed();
        let charged = archive.charge_directories(more.directories, more.bytes);
        charged.map_err(|refusal| StorageError::refused(entry.path.as_bytes(), refusal))?;
    }
    let mut omitted = unpacker.finish()?;
    omitted.attributes += archive.unread_attributes();
    archive.spend(budget);
    let plain = archive.source().get_ref();
    budget.plain = budget.plain.saturating_add(plain.content().size);
    let imported = Imported {
        stream: plain.source().source().content(),
        compression,
        plain: plain.content(),
        omitted,
    };
    check(&imported, expected)?;
    staging.commit()?;
    Ok(imported)
}

/// Makes the layer at `target`, where nothing is yet, of the files in `folder`, which may be the upper directory of an
/// overlay that was mounted with `marks`.
///
/// # Errors
/// The folder cannot be read, changes meanwhile, or has what a layer cannot have; or the layer cannot be written.
/// Nothing is at `target` then, nor beside it.
pub fn import_folder(
    folder: &Path,
    marks: Marks,
    target: &Path,
    options: &Options,
) -> Result<Omitted, StorageError> {
    copy(folder, marks, target, Entrance::AsItIs, options)
}

/// The same, into a directory that others may enter: the layer is closed to them.
///
/// # Errors
/// As of [`import_folder`].
pub(super) fn import_folder_closed(
    folder: &Path,
    marks: Marks,
    target: &Path,
    options: &Options,
) -> Result<(), StorageError> {
    let entrance = Entrance::closed_for(options.rights);
    copy(folder, marks, target, entrance, options).map(|_| ())
}

fn copy(
    folder: &Path,
    marks: Marks,
    target: &Path,
    entrance: Entrance,
    options: &Options,
) -> Result<Omitted, StorageError> {
    let root = export::open(folder)?;
    let staging = Staging::begin(target, entrance)?;
    let mut unpacker = Unpacker::new(staging.root(), options.rights);
    let read = Walk::run(&root, marks, &options.limits, &mut unpacker)?;
    let mut omitted = unpacker.finish()?;
    omitted.sockets += read.sockets;
    omitted.attributes += read.attributes;
    staging.commit()?;
    Ok(omitted)
}

fn check(imported: &Imported, expected: &Expected) -> Result<(), StorageError> {
    let refused = |what: &[u8], refusal| Err(StorageError::refused(what, refusal));
    if let Some(size) = expected.size
        && size != imported.stream.size
    {
        let refusal = Refusal::WrongSize {
            expected: size,
            found: imported.stream.size,
        };
        return refused(b"the archive", refusal);
    }
    for (what, expected, found) in [
        (&b"the archive"[..], expected.digest, imported.stream.digest),
        (
            b"the archive after decompression",
            expected.diff_id,
            imported.plain.digest,
        ),
    ] {
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            let refusal = Refusal::WrongDigest {
                expected: expected.to_string(),
                found: found.to_string(),
            };
            return refused(what, refusal);
        }
    }
    Ok(())
}

fn unreadable(error: io::Error) -> StorageError {
    StorageError::stream("reading the archive", "the archive", error)
}

/// A stream that may have no more bytes than announced.
struct Announced<R> {
    source: R,
    left: Option<u64>,
    expected: u64,
}

impl<R: Read> Read for Announced<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        if let Some(left) = &mut self.left {
            match left.checked_sub(read as u64) {
                Some(less) => *left = less,
                None => {
                    let refusal = Refusal::WrongSize {
                        expected: self.expected,
                        found: self.expected - *left + read as u64,
                    };
                    return Err(refusal.into());
                }
            }
        }
        Ok(read)
    }
}
