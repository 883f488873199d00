//! The writer of tar streams: the same entries always make the same bytes.
//!
//! What the block of 512 bytes has no room for goes into an extended header of POSIX, and nothing else does. Holes are
//! written as zeros, because the OCI image specification advises against sparse entries.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
};

use super::{
    BLOCK, access_list,
    entry::{Device, Entry, Kind},
    header::{self, Header},
    padding, pax, whiteout,
};
use crate::{Refusal, StorageError};

/// Writes entries. An archive is whole after [`TarWriter::finish`].
#[derive(Debug)]
pub struct TarWriter<W> {
    target: W,
}

impl<W: Write> TarWriter<W> {
    /// Writes to `target`, which should be buffered.
    pub const fn new(target: W) -> Self {
        Self { target }
    }

    /// Writes `entry`, and the content that its kind says from `content`.
    ///
    /// # Errors
    /// The target cannot be written, or `content` has fewer bytes than the entry says.
    pub fn entry(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), StorageError> {
        let mut records = BTreeMap::new();
        let header = header_of(entry, &mut records)?;
        let size = match entry.kind {
            Kind::File { size } => size,
            _ => 0,
        };
        self.extended(&records)?;
        self.write(&header.finish())?;
        let copied = io::copy(&mut content.take(size), &mut self.target);
        let copied = copied.map_err(|error| failed("copying a file into the archive", error))?;
        if copied != size {
            let refusal = Refusal::WrongSize {
                expected: size,
                found: copied,
            };
            return Err(StorageError::refused(entry.path.as_bytes(), refusal));
        }
        self.pad(size)
    }

    /// Ends the archive.
    ///
    /// # Errors
    /// The target cannot be written.
    pub fn finish(mut self) -> Result<W, StorageError> {
        self.write(&[0; 2 * BLOCK])?;
        let flushed = self.target.flush();
        flushed.map_err(|error| failed("writing the archive", error))?;
        Ok(self.target)
    }

    fn extended(&mut self, records: &BTreeMap<Vec<u8>, Vec<u8>>) -> Result<(), StorageError> {
        if records.is_empty() {
            return Ok(());
        }
        let mut text = Vec::new();
        for (key, value) in records {
            pax::push(&mut text, key, value);
        }
        let mut header = Header::new(b'x');
        header.set_text(header::NAME, b"././@PaxHeader");
        header.set_number(header::MODE, 0o644);
        header.set_number(header::UID, 0);
        header.set_number(header::GID, 0);
        header.set_number(header::SIZE, text.len() as u64);
        header.set_number(header::MTIME, 0);
        self.write(&header.finish())?;
        self.write(&text)?;
        self.pad(text.len() as u64)
    }

    fn pad(&mut self, size: u64) -> Result<(), StorageError> {
        let padding = usize::try_from(padding(size)).unwrap_or_default();
        self.write(&[0; BLOCK][..padding])
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        let written = self.target.write_all(bytes);
        written.map_err(|error| failed("writing the archive", error))
    }
}

fn failed(action: &'static str, error: io::Error) -> StorageError {
    StorageError::stream(action, "the archive", error)
}

/// The header of `entry`; what it has no room for goes to `records`.
fn header_of(
    entry: &Entry,
    records: &mut BTreeMap<Vec<u8>, Vec<u8>>,
) -> Result<Header, StorageError> {
    let (kind, link, device) = in_header(&entry.kind);
    let mut header = Header::new(kind);
    let name = name_of(entry);
    if !header.set_text(header::NAME, &name) {
        header.set_text(header::NAME, &name[..header::NAME.1]);
        records.insert(b"path".into(), name);
    }
    if !header.set_text(header::LINK, link) {
        header.set_text(header::LINK, &link[..header::LINK.1]);
        records.insert(b"linkpath".into(), link.to_vec());
    }
    if let Some(device) = device {
        header.set_number(header::MAJOR, device.major.into());
        header.set_number(header::MINOR, device.minor.into());
    }
    header.set_number(header::MODE, entry.mode.into());
    let size = match entry.kind {
        Kind::File { size } => size,
        _ => 0,
    };
    for (field, key, value) in [
        (header::UID, "uid", entry.uid.into()),
        (header::GID, "gid", entry.gid.into()),
        (header::SIZE, "size", size),
    ] {
        if !header.set_number(field, value) {
            records.insert(key.into(), value.to_string().into());
        }
    }
    let seconds = u64::try_from(entry.mtime.seconds);
    let fits = header.set_number(header::MTIME, seconds.unwrap_or_default());
    if seconds.is_err() || !fits || entry.mtime.nanoseconds != 0 {
        records.insert(b"mtime".into(), pax::time_text(entry.mtime).into());
    }
    for (name, value) in &entry.xattrs {
        if name.contains(&b'=') {
            let name = crate::error::shown(name);
            let refusal = Refusal::Attribute { name };
            return Err(StorageError::refused(entry.path.as_bytes(), refusal));
        }
        records.insert(pax::attribute_key(name), value.clone());
        // Container tools read the attribute, and programs like tar the text.
        let list = access_list::KINDS.iter().find(|(_, list)| list == name);
        if let Some(((key, _), text)) = list.zip(access_list::text(value)) {
            records.insert(key.to_vec(), text);
        }
    }
    Ok(header)
}

/// The type flag, the target of a link, and the device.
fn in_header(kind: &Kind) -> (u8, &[u8], Option<Device>) {
    match kind {
        Kind::File { .. } | Kind::Whiteout | Kind::Opaque => (b'0', b"", None),
        Kind::HardLink { target } => (b'1', target.as_bytes(), None),
        Kind::Symlink { target } => (b'2', target, None),
        Kind::Character(device) => (b'3', b"", Some(*device)),
        Kind::Block(device) => (b'4', b"", Some(*device)),
        Kind::Directory => (b'5', b"", None),
        Kind::Fifo => (b'6', b"", None),
    }
}

fn name_of(entry: &Entry) -> Vec<u8> {
    let mark = whiteout::name_of(&entry.path, &entry.kind);
    let path = mark.as_ref().unwrap_or(&entry.path).as_bytes();
    match entry.kind {
        Kind::Directory if path.is_empty() => b"./".to_vec(),
        Kind::Directory => [path, b"/"].concat(),
        _ => path.to_vec(),
    }
}
