//! A tar stream or a folder becomes a layer, whole or not at all.

use std::{
    io::{self, Read},
    os::fd::BorrowedFd,
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
    ahead::read_ahead,
    compression::{self, Compression},
    limits::Budget,
    measure::{Content, Measured, Metered},
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
    stream: impl Read + Send,
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
    stream: impl Read + Send,
    target: &Path,
    options: &Options,
) -> Result<(), StorageError> {
    let mut budget = Budget::of(&options.limits);
    let staging = Staging::begin(target, Entrance::closed_for(options.rights))?;
    let stream = announced(stream, &Expected::default(), &budget);
    fill(staging, stream, options.rights, &mut budget, |_| Ok(())).map(drop)
}

/// As [`import_tar`], with what is left of `budget`.
///
/// # Errors
/// As of [`import_tar`].
pub(crate) fn import_within(
    stream: impl Read + Send,
    target: &Path,
    rights: Rights,
    expected: &Expected,
    budget: &mut Budget,
) -> Result<Imported, StorageError> {
    let staging = Staging::begin(target, Entrance::AsItIs)?;
    let stream = announced(stream, expected, budget);
    fill(staging, stream, rights, budget, |imported| {
        check(imported, expected)
    })
}

/// As [`import_within`], of a stream that is measured already, and whose digest its reader checks: `check` says whether
/// the rest is as it has to be.
///
/// # Errors
/// As of [`import_tar`], or of `check`.
pub(crate) fn import_metered(
    stream: impl Metered + Send,
    target: &Path,
    rights: Rights,
    budget: &mut Budget,
    check: impl FnOnce(&Imported) -> Result<(), StorageError>,
) -> Result<Imported, StorageError> {
    let staging = Staging::begin(target, Entrance::AsItIs)?;
    fill(staging, stream, rights, budget, check)
}

/// A stream that is measured, and ends at the limits.
fn announced<R: Read>(stream: R, expected: &Expected, budget: &Budget) -> Measured<Announced<R>> {
    // A stream that grows by compression cannot be larger than what it makes, but for its own headers.
    let most = budget.limits.bytes.saturating_add(1 << 20);
    let stream = Announced {
        left: expected.size,
        source: stream,
        expected: expected.size.unwrap_or_default(),
    };
    Measured::new(stream, most, budget.deadline)
}

/// Unpacks a stream into the layer that is begun. It is read, measured and decompressed by a thread of its own.
fn fill(
    staging: Staging,
    stream: impl Metered + Send,
    rights: Rights,
    budget: &mut Budget,
    check: impl FnOnce(&Imported) -> Result<(), StorageError>,
) -> Result<Imported, StorageError> {
    let (plain, compression) = compression::plain(stream).map_err(unreadable)?;
    let read = read_ahead(plain, |plain| unpack(plain, staging.root(), rights, budget));
    let (read, unpacked) = read.map_err(unreadable)?;
    let (plain, omitted) = unpacked?;
    let imported = Imported {
        stream: read.source().passed(),
        compression,
        plain,
        omitted,
    };
    check(&imported)?;
    staging.commit()?;
    Ok(imported)
}

/// Makes the files of a plain stream; returns what it was, and what was left out.
fn unpack(
    plain: impl Read,
    root: BorrowedFd<'_>,
    rights: Rights,
    budget: &mut Budget,
) -> Result<(Content, Omitted), StorageError> {
    let (limit, deadline) = (budget.limits.bytes, budget.deadline);
    let plain = Measured::new(plain, limit, deadline).beyond(budget.plain);
    let plain = io::BufReader::with_capacity(64 << 10, plain);
    let mut archive = TarReader::within(plain, budget);
    let mut unpacker = Unpacker::new(root, rights);
    while let Some(entry) = archive.next_entry()? {
        unpacker.take(&entry, &mut archive)?;
        let more = unpacker.take_unnamed();
        let charged = archive.charge_directories(more.directories, more.bytes);
        charged.map_err(|refusal| StorageError::refused(entry.path.as_bytes(), refusal))?;
    }
    let mut omitted = unpacker.finish()?;
    omitted.attributes += archive.unread_attributes();
    archive.spend(budget);
    let plain = archive.source().get_ref().content();
    budget.plain = budget.plain.saturating_add(plain.size);
    Ok((plain, omitted))
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
