//! [`Reader`]: a tar stream (ustar, pax, GNU) cut into entries.
//!
//! The stream may come from a hostile side: it is read once, front to back, and what it says about itself takes at most
//! [`MAX_RECORD`] bytes of memory for each of three records.

use std::{
    ffi::OsString,
    io::{self, Read},
    os::unix::ffi::OsStringExt as _,
    path::PathBuf,
};

use tar::{EntryType, Header, PaxExtensions};

use crate::{ArchiveError, name};

/// Size of a block: headers have this size, and data is padded to it.
pub(crate) const BLOCK: usize = 512;

/// The most bytes of a record about the next entry: long names, pax attributes.
const MAX_RECORD: u64 = 1 << 20;

/// The most records about one entry.
const MOST_RECORDS: u32 = 16;

/// What an entry makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file; its data follows.
    File,
    /// A directory.
    Directory,
    /// A symbolic link to this, which may be any text.
    Symlink(OsString),
    /// A hard link to this entry before it.
    HardLink(PathBuf),
    /// A named pipe.
    Fifo,
    /// A device.
    Device,
}

/// An entry of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it is, below the destination; empty for the destination itself.
    pub path: PathBuf,
    /// What it makes.
    pub kind: Kind,
    /// Bytes of data; 0 for all but files.
    pub size: u64,
    /// Permissions, with the setuid, setgid and sticky bits.
    pub mode: u32,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Time of the last change, in seconds since 1970.
    pub modified: i64,
}

/// Reads the entries of a stream.
#[derive(Debug)]
pub struct Reader<R> {
    stream: R,
    /// Bytes of the current entry's data that were not read yet.
    left: u64,
    /// Zeros behind that.
    padding: u64,
    begun: bool,
}

/// What records before an entry say about it.
#[derive(Default)]
struct Records {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    modified: Option<i64>,
}

impl<R: Read> Reader<R> {
    /// Reads entries from `stream`. It is read in pieces of a block, so it should have a buffer.
    pub const fn new(stream: R) -> Self {
        Self {
            stream,
            left: 0,
            padding: 0,
            begun: false,
        }
    }

    /// The next entry; `None` at the end of the archive. What was not read of the last one's data is skipped.
    ///
    /// # Errors
    /// The stream ends early or is no archive.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, ArchiveError> {
        let mut records = Records::default();
        for _ in 0..MOST_RECORDS {
            self.skip()?;
            let mut header = Header::new_old();
            if !self.block(header.as_mut_bytes())? {
                return match self.begun {
                    true => Ok(None),
                    false => Err(ArchiveError::Truncated("it is empty".to_owned())),
                };
            }
            self.begun = true;
            if header.as_bytes().iter().all(|byte| *byte == 0) {
                return Ok(None);
            }
            check(&header)?;
            let size = number("size", header.entry_size())?;
            match header.entry_type() {
                EntryType::GNULongName => records.path = Some(text(self.record(size)?)),
                EntryType::GNULongLink => records.link = Some(text(self.record(size)?)),
                EntryType::XHeader => attributes(&mut records, &self.record(size)?)?,
                // Comments of the whole archive.
                EntryType::XGlobalHeader => drop(self.record(size)?),
                other => return self.entry(&header, other, records).map(Some),
            }
        }
        let message = format!("more than {MOST_RECORDS} records are about one entry");
        Err(ArchiveError::Malformed(message))
    }

    /// Reads data of the current entry into `buffer`; 0 at its end.
    ///
    /// # Errors
    /// The stream ends before that, or cannot be read.
    pub fn read_data(&mut self, buffer: &mut [u8]) -> Result<usize, ArchiveError> {
        let most = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let Some(buffer) = buffer.get_mut(..most).filter(|buffer| !buffer.is_empty()) else {
            return Ok(0);
        };
        let count = read(&mut self.stream, buffer)?;
        if count == 0 {
            let message = format!("{} bytes of a file are missing", self.left);
            return Err(ArchiveError::Truncated(message));
        }
        self.left = self.left.saturating_sub(count as u64);
        Ok(count)
    }

    /// Reads what follows the archive, so that its writer can end: at most 1 MiB, which is more than any padding.
    ///
    /// # Errors
    /// The stream cannot be read.
    pub fn drain(mut self) -> Result<(), ArchiveError> {
        let rest = &mut (&mut self.stream).take(1 << 20);
        let copied = io::copy(rest, &mut io::sink());
        copied.map(drop).map_err(cannot_read)
    }

    fn entry(
        &mut self,
        header: &Header,
        entry_type: EntryType,
        records: Records,
    ) -> Result<Entry, ArchiveError> {
        let bytes = records
            .path
            .unwrap_or_else(|| header.path_bytes().into_owned());
        let link = records
            .link
            .or_else(|| header.link_name_bytes().map(|link| link.into_owned()));
        let link = link.unwrap_or_default();
        let kind = kind_of(entry_type, &bytes, link)?;
        let mut size = 0;
        if kind == Kind::File {
            size = records
                .size
                .map_or_else(|| number("size", header.entry_size()), Ok)?;
            self.expect(size)?;
        }
        let id = |record: Option<u64>, field, value: io::Result<u64>| {
            let id = record.map_or_else(|| number(field, value), Ok)?;
            // The last number is none of a user.
            let id = u32::try_from(id).ok().filter(|id| *id != u32::MAX);
            id.ok_or_else(|| {
                ArchiveError::Malformed(format!("the {field} of an entry is too large"))
            })
        };
        let mode = header
            .mode()
            .map_err(|error| not_a_number("mode", &error))?;
        let seconds =
            || number("time", header.mtime()).map(|time| i64::try_from(time).unwrap_or(0));
        Ok(Entry {
            path: name::relative(&bytes)?,
            kind,
            size,
            mode: mode & 0o7777,
            uid: id(records.uid, "uid", header.uid())?,
            gid: id(records.gid, "gid", header.gid())?,
            modified: records.modified.map_or_else(seconds, Ok)?,
        })
    }

    /// `size` bytes of data and their padding follow.
    fn expect(&mut self, size: u64) -> Result<(), ArchiveError> {
        if i64::try_from(size).is_err() {
            let message = format!("a file claims to have {size} bytes");
            return Err(ArchiveError::Malformed(message));
        }
        self.left = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
        Ok(())
    }

    /// Leaves the rest of an entry's data behind.
    fn skip(&mut self) -> Result<(), ArchiveError> {
        let mut buffer = [0; 16 * BLOCK];
        while self.read_data(&mut buffer)? > 0 {}
        self.left = std::mem::take(&mut self.padding);
        while self.read_data(&mut buffer)? > 0 {}
        Ok(())
    }

    /// The bytes of a record.
    fn record(&mut self, size: u64) -> Result<Vec<u8>, ArchiveError> {
        if size > MAX_RECORD {
            let message = format!("a record has {size} bytes, more than {MAX_RECORD}");
            return Err(ArchiveError::Malformed(message));
        }
        self.expect(size)?;
        let mut bytes = Vec::new();
        let mut piece = [0; 8 * BLOCK];
        loop {
            match self.read_data(&mut piece)? {
                0 => return Ok(bytes),
                count => bytes.extend_from_slice(piece.get(..count).unwrap_or_default()),
            }
        }
    }

    /// Fills `block`; false when the stream has ended before it.
    fn block(&mut self, block: &mut [u8; BLOCK]) -> Result<bool, ArchiveError> {
        let mut filled = 0;
        while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match read(&mut self.stream, rest)? {
                0 if filled == 0 => return Ok(false),
                0 => {
                    let message = format!("{filled} bytes of a header of {BLOCK} came");
                    return Err(ArchiveError::Truncated(message));
                }
                count => filled += count,
            }
        }
        Ok(true)
    }
}

fn read(stream: &mut impl Read, buffer: &mut [u8]) -> Result<usize, ArchiveError> {
    loop {
        match stream.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other.map_err(cannot_read),
        }
    }
}

const fn cannot_read(source: io::Error) -> ArchiveError {
    ArchiveError::Stream {
        doing: "read",
        source,
    }
}

/// Whether the header's checksum holds: all else is no archive.
fn check(header: &Header) -> Result<(), ArchiveError> {
    let bytes = header.as_bytes().iter().enumerate();
    let sum: u32 = bytes
        .map(|(place, byte)| match (148..156).contains(&place) {
            true => u32::from(b' '),
            false => u32::from(*byte),
        })
        .sum();
    match header.cksum() {
        Ok(told) if told == sum => Ok(()),
        _ => {
            let message = "a header has a wrong checksum, so this is no tar archive; a compressed one has to be \
                           decompressed first";
            Err(ArchiveError::Malformed(message.to_owned()))
        }
    }
}

fn number(field: &str, value: io::Result<u64>) -> Result<u64, ArchiveError> {
    value.map_err(|error| not_a_number(field, &error))
}

fn not_a_number(field: &str, error: &io::Error) -> ArchiveError {
    ArchiveError::Malformed(format!("the {field} of an entry is no number: {error}"))
}

/// A long name, which ends with NUL.
fn text(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
        bytes.truncate(end);
    }
    bytes
}

/// Reads pax attributes; those that say nothing about the file that is made are left alone.
fn attributes(records: &mut Records, bytes: &[u8]) -> Result<(), ArchiveError> {
    for attribute in PaxExtensions::new(bytes) {
        let wrong = || ArchiveError::Malformed("a pax attribute is no KEY=VALUE".to_owned());
        let attribute = attribute.map_err(|_| wrong())?;
        let (key, value) = (attribute.key_bytes(), attribute.value_bytes());
        let number = || {
            let text = std::str::from_utf8(value).ok()?;
            text.split('.').next()?.parse::<i64>().ok()
        };
        let positive = || {
            number()
                .and_then(|number| u64::try_from(number).ok())
                .ok_or_else(wrong)
        };
        match key {
            b"path" => records.path = Some(value.to_owned()),
            b"linkpath" => records.link = Some(value.to_owned()),
            b"size" => records.size = Some(positive()?),
            b"uid" => records.uid = Some(positive()?),
            b"gid" => records.gid = Some(positive()?),
            b"mtime" => records.modified = Some(number().ok_or_else(wrong)?),
            key if key.starts_with(b"GNU.sparse") => {
                let message = "it has sparse files; make it without --sparse".to_owned();
                return Err(ArchiveError::Malformed(message));
            }
            _ => {}
        }
    }
    Ok(())
}

/// What an entry is, by its type, its path and what it links to.
fn kind_of(entry_type: EntryType, path: &[u8], link: Vec<u8>) -> Result<Kind, ArchiveError> {
    Ok(match entry_type {
        // Archives of the oldest kind have no type for directories.
        EntryType::Regular if path.ends_with(b"/") => Kind::Directory,
        EntryType::Regular | EntryType::Continuous => Kind::File,
        EntryType::Directory => Kind::Directory,
        EntryType::Symlink if link.is_empty() || link.contains(&0) => {
            let message = "a symbolic link to nothing".to_owned();
            return Err(ArchiveError::Malformed(message));
        }
        EntryType::Symlink => Kind::Symlink(OsString::from_vec(link)),
        EntryType::Link => Kind::HardLink(name::relative(&link)?),
        EntryType::Fifo => Kind::Fifo,
        EntryType::Char | EntryType::Block => Kind::Device,
        EntryType::GNUSparse => {
            let message = "it has sparse files; make it without --sparse".to_owned();
            return Err(ArchiveError::Malformed(message));
        }
        other => {
            let letter = char::from(other.as_byte()).escape_default();
            let message = format!("it has an entry of the type '{letter}', which is not known");
            return Err(ArchiveError::Malformed(message));
        }
    })
}
