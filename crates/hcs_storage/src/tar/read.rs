//! The reader of tar streams.
//!
//! Nothing of a stream is trusted: all that is kept is charged to the limits. Where readers of different programs
//! would see different files (content after the end, entries with a size but without content) the stream is refused.

use std::{
    collections::VecDeque,
    io::{self, Read},
};

use super::{
    BLOCK,
    entry::{Device, Entry, Kind, Timestamp},
    header::{self, Header},
    padding,
    path::EntryPath,
    pax::{self, Records},
    sparse::{self, MapReader, Part},
    whiteout,
};
use crate::{
    Limits, Refusal, StorageError,
    limits::{Budget, Deadline, charge},
};

/// Bytes of an extended header, at most.
const EXTENDED: u64 = 1 << 20;
/// Bytes of memory for an entry besides its names and attributes, about.
const OVERHEAD: u64 = 128;
/// The longest target of a symbolic link.
const TARGET: usize = 4095;
/// What a failing source was read for.
const READING: &str = "reading the archive";

/// Entries of a tar stream. Reading from it reads the content of the last entry, holes as zeros.
pub struct TarReader<R> {
    source: R,
    limits: Limits,
    deadline: Deadline,
    entries: u64,
    metadata: u64,
    content: u64,
    unread: u64,
    /// Where the stream stands in the last entry's content.
    stored: u64,
    padding: u64,
    parts: Option<Parts>,
    /// How bytes of the source are left out; none where they are read.
    skip: Option<Skip<R>>,
}

/// Leaves bytes of a source out; returns how many there were.
pub(crate) type Skip<R> = fn(&mut R, u64) -> io::Result<u64>;

/// Where reading stands in a sparse file.
struct Parts {
    left: VecDeque<Part>,
    position: u64,
    size: u64,
}

/// What headers before an entry say about it.
#[derive(Default)]
struct Before {
    records: Option<Records>,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl<R: Read> TarReader<R> {
    /// Reads `source`, of which no byte has been read. The bytes of the source are the caller's to limit; those of
    /// files are limited here.
    pub fn new(source: R, limits: &Limits) -> Self {
        Self::within(source, &Budget::of(limits))
    }

    /// The same with what is left of `budget`; [`TarReader::spend`] takes from that what was read.
    pub(crate) fn within(source: R, budget: &Budget) -> Self {
        Self {
            source,
            limits: budget.limits,
            deadline: budget.deadline,
            entries: budget.entries,
            metadata: 0,
            content: budget.content,
            unread: 0,
            stored: 0,
            padding: 0,
            parts: None,
            skip: None,
        }
    }

    /// The same, where contents that are not asked for are left out by `skip` rather than read.
    pub(crate) fn seeking(self, skip: Skip<R>) -> Self {
        let skip = Some(skip);
        Self { skip, ..self }
    }

    /// The next entry; none at the end of the stream, which is read to its last byte.
    ///
    /// # Errors
    /// The source cannot be read, is no archive, or an entry is refused.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, StorageError> {
        loop {
            self.skip_content()?;
            let mut before = Before::default();
            let Some(header) = self.header(&mut before)? else {
                return Ok(None);
            };
            let name = before.name(&header);
            let refused = |refusal| StorageError::refused(&name, refusal);
            self.charge_entry(&before, &header).map_err(refused)?;
            let entry = match self.entry(&header, before, &name) {
                Ok(entry) => entry,
                Err(Failed::Refused(refusal)) => return Err(refused(refusal)),
                Err(Failed::Read(error)) => return Err(error),
            };
            if let Some(entry) = whiteout::marked(entry).map_err(refused)? {
                return Ok(Some(entry));
            }
        }
    }

    /// Takes from `budget`, which the reader was made with, what was read since.
    pub(crate) fn spend(&self, budget: &mut Budget) {
        budget.entries = self.entries;
        budget.content = self.content;
    }

    /// Counts `directories` as entries whose paths have `bytes`: those that the path of an entry names, and no entry.
    ///
    /// # Errors
    /// They are more than the limits allow, or the time is over.
    pub(crate) fn charge_directories(
        &mut self,
        directories: u64,
        bytes: u64,
    ) -> Result<(), Refusal> {
        let refusal = |limit| Refusal::TooManyEntries { limit };
        charge(&mut self.entries, directories, self.limits.entries, refusal)?;
        self.charge_metadata(bytes.saturating_add(directories.saturating_mul(OVERHEAD)))?;
        self.deadline.check()
    }

    /// How many attributes had a form that is not read.
    #[must_use]
    pub const fn unread_attributes(&self) -> u64 {
        self.unread
    }

    /// The source.
    pub const fn source(&self) -> &R {
        &self.source
    }

    /// The header of the next entry, and what comes before it.
    fn header(&mut self, before: &mut Before) -> Result<Option<Header>, StorageError> {
        loop {
            self.deadline.check().map_err(archive)?;
            let Some(header) = Header::parse(self.block()?).map_err(archive)? else {
                return self.end(before).map(|()| None);
            };
            match header.kind() {
                b'x' => {
                    let text = self.extended(&header)?;
                    let records = Records::parse(&text).map_err(archive)?;
                    self.unread += records.unread;
                    once(&mut before.records, records)?;
                }
                b'g' => {
                    if !pax::is_comment(&self.extended(&header)?).map_err(archive)? {
                        return Err(archive(Refusal::BadArchive(
                            "a global extended header says more than a comment",
                        )));
                    }
                }
                b'L' => once(&mut before.name, until_nul(self.extended(&header)?))?,
                b'K' => once(&mut before.link, until_nul(self.extended(&header)?))?,
                _ => return Ok(Some(header)),
            }
        }
    }

    /// The content of an extended header.
    fn extended(&mut self, header: &Header) -> Result<Vec<u8>, StorageError> {
        let size = u64::try_from(header.number(header::SIZE).map_err(archive)?)
            .ok()
            .filter(|size| *size <= EXTENDED)
            .ok_or(Refusal::BadArchive(
                "an extended header is larger than 1 MiB",
            ))
            .map_err(archive)?;
        self.charge_metadata(size + OVERHEAD).map_err(archive)?;
        let mut text = Vec::new();
        let read = self.source.by_ref().take(size).read_to_end(&mut text);
        if read.map_err(unreadable)? as u64 != size {
            return Err(archive(CUT_OFF));
        }
        self.padding = padding(size);
        self.skip_content()?;
        Ok(text)
    }

    /// The end of the archive: a second empty block, and nothing but zeros after it.
    fn end(&mut self, before: &Before) -> Result<(), StorageError> {
        let bad = |what| Err(archive(Refusal::BadArchive(what)));
        if before.records.is_some() || before.name.is_some() || before.link.is_some() {
            return bad("it ends with an extended header");
        }
        if self.block()?.iter().any(|byte| *byte != 0) {
            return bad("an empty block is followed by a header");
        }
        let mut rest = [0; 8 << 10];
        loop {
            let read = self.source.read(&mut rest).map_err(unreadable)?;
            match &rest[..read] {
                [] => return Ok(()),
                bytes if bytes.iter().all(|byte| *byte == 0) => {}
                _ => return bad("there is content after its end"),
            }
        }
    }

    fn entry(&mut self, header: &Header, before: Before, name: &[u8]) -> Result<Entry, Failed> {
        let Before { records, link, .. } = before;
        let records = records.unwrap_or_default();
        let path = EntryPath::parse(name, self.limits.depth)?;
        let size = match records.size {
            Some(size) => size,
            None => unsigned(header.number(header::SIZE)?)?,
        };
        let link = records.link.or(link);
        let link = link.unwrap_or_else(|| header.text(header::LINK).to_vec());
        let (kind, parts) = match header.kind() {
            b'0' | 0 if name.ends_with(b"/") => (Kind::Directory, None),
            b'0' | b'7' | 0 => {
                let sparse = records.sparse.file_size()?;
                self.file(size, sparse)?
            }
            b'S' => self.gnu_sparse(header, size)?,
            kind => (self.without_content(kind, header, size, link)?, None),
        };
        if matches!(kind, Kind::Directory) && size != 0 {
            return Err(NO_CONTENT.into());
        }
        if path.is_root() && kind != Kind::Directory {
            return Err(Refusal::BadPath("only a directory can be the root").into());
        }
        if let Kind::File { size } = kind {
            let refusal = |limit| Refusal::TooManyBytes { limit };
            charge(&mut self.content, size, self.limits.bytes, refusal)?;
        }
        self.parts = parts;
        let mode = unsigned(header.number(header::MODE)?)?;
        Ok(Entry {
            path,
            kind,
            mode: u32::try_from(mode & 0o7777).unwrap_or_default(),
            uid: owner(records.uid, header, header::UID)?,
            gid: owner(records.gid, header, header::GID)?,
            mtime: match records.mtime {
                Some(mtime) => mtime,
                None => mtime(header)?,
            },
            xattrs: records.xattrs,
        })
    }

    /// A file with `stored` bytes in the archive, behind a map where it is a sparse file of `sparse` bytes.
    fn file(&mut self, stored: u64, sparse: Option<u64>) -> Result<(Kind, Option<Parts>), Failed> {
        self.stored = stored;
        self.padding = padding(stored);
        let Some(size) = sparse else {
            return Ok((Kind::File { size: stored }, None));
        };
        let mut map = MapReader::default();
        loop {
            let left = self.stored.checked_sub(BLOCK as u64);
            self.stored = left.ok_or(CUT_OFF)?;
            self.charge_metadata(BLOCK as u64)?;
            if let Some(parts) = map.block(&self.block()?)? {
                return self.sparse(parts, size);
            }
        }
    }

    /// A sparse file in the dialect of GNU.
    fn gnu_sparse(
        &mut self,
        header: &Header,
        stored: u64,
    ) -> Result<(Kind, Option<Parts>), Failed> {
        let (mut parts, mut more, size) = sparse::in_header(header)?;
        while more {
            self.charge_metadata(BLOCK as u64)?;
            let (next, again) = sparse::in_block(&self.block()?)?;
            parts.extend(next);
            more = again;
        }
        self.stored = stored;
        self.padding = padding(stored);
        self.sparse(parts, size)
    }

    fn sparse(&self, parts: Vec<Part>, size: u64) -> Result<(Kind, Option<Parts>), Failed> {
        sparse::check(&parts, size, self.stored)?;
        let parts = Parts {
            left: parts.into(),
            position: 0,
            size,
        };
        Ok((Kind::File { size }, Some(parts)))
    }

    fn without_content(
        &self,
        kind: u8,
        header: &Header,
        size: u64,
        link: Vec<u8>,
    ) -> Result<Kind, Refusal> {
        let kind = match kind {
            b'1' => Kind::HardLink {
                target: EntryPath::parse(&link, self.limits.depth).map_err(|_| {
                    let target = crate::error::shown(&link);
                    Refusal::LinkOutside { target }
                })?,
            },
            b'2' if link.is_empty() || link.len() > TARGET || link.contains(&0) => {
                return Err(Refusal::BadPath("no symbolic link can have its target"));
            }
            b'2' => Kind::Symlink { target: link },
            b'3' => match device(header)? {
                Device::WHITEOUT => return Err(Refusal::WhiteoutDevice),
                device => Kind::Character(device),
            },
            b'4' => Kind::Block(device(header)?),
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            kind => {
                return Err(Refusal::EntryType {
                    kind: char::from(kind),
                });
            }
        };
        if size == 0 { Ok(kind) } else { Err(NO_CONTENT) }
    }

    fn charge_entry(&mut self, before: &Before, header: &Header) -> Result<(), Refusal> {
        let refusal = |limit| Refusal::TooManyEntries { limit };
        charge(&mut self.entries, 1, self.limits.entries, refusal)?;
        let names = before.name(header).len() + header.text(header::LINK).len();
        self.charge_metadata(names as u64 + OVERHEAD)
    }

    fn charge_metadata(&mut self, bytes: u64) -> Result<(), Refusal> {
        let refusal = |limit| Refusal::TooMuchMetadata { limit };
        charge(&mut self.metadata, bytes, self.limits.metadata, refusal)
    }

    fn block(&mut self) -> Result<[u8; BLOCK], StorageError> {
        let mut block = [0; BLOCK];
        match self.source.read_exact(&mut block) {
            Ok(()) => Ok(block),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(archive(CUT_OFF)),
            Err(error) => Err(unreadable(error)),
        }
    }

    /// Goes to the end of the last content.
    pub(crate) fn skip_content(&mut self) -> Result<(), StorageError> {
        self.parts = None;
        let skipped = std::mem::take(&mut self.stored) + std::mem::take(&mut self.padding);
        let read = match self.skip {
            _ if skipped == 0 => Ok(0),
            Some(skip) => skip(&mut self.source, skipped),
            None => io::copy(&mut self.source.by_ref().take(skipped), &mut io::sink()),
        };
        if read.map_err(unreadable)? == skipped {
            Ok(())
        } else {
            Err(archive(CUT_OFF))
        }
    }

    /// Reads of what is stored, at most `most` bytes.
    fn read_stored(&mut self, buffer: &mut [u8], most: u64) -> io::Result<usize> {
        let room = usize::try_from(most)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        if room == 0 {
            return Ok(0);
        }
        match self.source.read(&mut buffer[..room])? {
            0 => Err(CUT_OFF.into()),
            read => {
                self.stored -= read as u64;
                Ok(read)
            }
        }
    }
}

impl<R: Read> Read for TarReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.deadline.check()?;
        let Some(parts) = &mut self.parts else {
            return self.read_stored(buffer, self.stored);
        };
        while parts
            .left
            .front()
            .is_some_and(|part| part.offset + part.length <= parts.position)
        {
            parts.left.pop_front();
        }
        let position = parts.position;
        let (begin, end) = match parts.left.front() {
            Some(part) => (part.offset, part.offset + part.length),
            None => (parts.size, parts.size),
        };
        let read = if position < begin {
            let hole = usize::try_from(begin - position).unwrap_or(usize::MAX);
            let hole = hole.min(buffer.len());
            buffer[..hole].fill(0);
            hole
        } else {
            self.read_stored(buffer, end - position)?
        };
        if let Some(parts) = &mut self.parts {
            parts.position += read as u64;
        }
        Ok(read)
    }
}

impl Before {
    fn name(&self, header: &Header) -> Vec<u8> {
        let records = self.records.as_ref();
        let name =
            records.and_then(|records| records.sparse.name.as_ref().or(records.path.as_ref()));
        let name = name.or(self.name.as_ref());
        name.cloned().unwrap_or_else(|| header.name())
    }
}

/// A refusal that names no entry yet, or a failure of the source.
enum Failed {
    Refused(Refusal),
    Read(StorageError),
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<StorageError> for Failed {
    fn from(error: StorageError) -> Self {
        Self::Read(error)
    }
}

const CUT_OFF: Refusal = Refusal::BadArchive("it is cut off");
const NO_CONTENT: Refusal = Refusal::BadArchive("an entry of a type without content has a size");

fn archive(refusal: Refusal) -> StorageError {
    StorageError::refused(b"the archive", refusal)
}

fn unreadable(error: io::Error) -> StorageError {
    StorageError::stream(READING, "the archive", error)
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), StorageError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(archive(Refusal::BadArchive(
            "an entry has two headers of one kind",
        ))),
    }
}

fn until_nul(mut text: Vec<u8>) -> Vec<u8> {
    if let Some(end) = text.iter().position(|byte| *byte == 0) {
        text.truncate(end);
    }
    text
}

fn unsigned(number: i128) -> Result<u64, Refusal> {
    u64::try_from(number)
        .ok()
        .filter(|number| *number <= i64::MAX.unsigned_abs())
        .ok_or(Refusal::BadArchive("a number in a header is out of range"))
}

/// An owner; the highest number means none to the kernel.
fn owner(record: Option<u32>, header: &Header, field: header::Field) -> Result<u32, Refusal> {
    let id = match record {
        Some(id) => id,
        None => u32::try_from(header.number(field)?).unwrap_or(u32::MAX),
    };
    match id {
        u32::MAX => Err(Refusal::BadArchive("an owner is out of range")),
        id => Ok(id),
    }
}

fn mtime(header: &Header) -> Result<Timestamp, Refusal> {
    let seconds = i64::try_from(header.number(header::MTIME)?)
        .map_err(|_| Refusal::BadArchive("a time is out of range"))?;
    Ok(Timestamp {
        seconds,
        nanoseconds: 0,
    })
}

fn device(header: &Header) -> Result<Device, Refusal> {
    let major = unsigned(header.number(header::MAJOR)?)?;
    let minor = unsigned(header.number(header::MINOR)?)?;
    match (u32::try_from(major), u32::try_from(minor)) {
        (Ok(major @ ..=0xfff), Ok(minor @ ..=0xf_ffff)) => Ok(Device { major, minor }),
        _ => Err(Refusal::DeviceNumber { major, minor }),
    }
}

impl<R> std::fmt::Debug for TarReader<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TarReader")
            .field("entries", &self.entries)
            .finish_non_exhaustive()
    }
}
