//! The output of one process in its files.
//!
//! The files come from the host, open and without a name: nothing in the system has a way to them, and they are gone
//! with the agent. What cannot be written, as the disk is full, is counted and said in its place; the process never
//! waits for it.

use std::{io::IoSlice, os::fd::OwnedFd};

use hcs_schema::{Failure, HResult};
use hcs_wire::{
    guest::KEPT_FILES,
    output::{HEADER_BYTES, Header, Kind},
};
use rustix::{
    fs::{FileType, fstat, ftruncate},
    io::{Errno, pread, pwritev, retry_on_intr},
};

use super::rotation::{Cursor, Found, Place, Rotation};

/// The most bytes of one file.
const FILE_BYTES: u64 = 4 << 20;

/// What comes next for a reader.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A record; its content is in the buffer.
    Record(Header),
    /// So many bytes are missing.
    Lost(u64),
    /// Nothing yet.
    End,
}

/// The log.
#[derive(Debug)]
pub(super) struct Log {
    files: Vec<OwnedFd>,
    rotation: Rotation,
    /// Bytes of output that could not be written, and of which the log does not say so yet.
    missing: u64,
}

impl Log {
    /// A log in these files.
    ///
    /// # Errors
    /// They are not what was expected.
    pub(super) fn new(files: Vec<OwnedFd>) -> Result<Self, Failure> {
        let is_file = |file: &OwnedFd| {
            fstat(file).is_ok_and(|found| {
                FileType::from_raw_mode(found.st_mode).is_file() && found.st_nlink == 0
            })
        };
        if files.len() != KEPT_FILES || !files.iter().all(is_file) {
            let message = format!(
                "the request for a detached process came with {} descriptors; {KEPT_FILES} files without a name were \
                 expected, to keep its output in",
                files.len()
            );
            return Err(Failure::new(HResult::E_INVALIDARG, message));
        }
        Ok(Self::with_limit(files, FILE_BYTES))
    }

    fn with_limit(files: Vec<OwnedFd>, limit: u64) -> Self {
        Self {
            rotation: Rotation::new(files.len(), limit),
            files,
            missing: 0,
        }
    }

    /// Appends output.
    pub(super) fn append(&mut self, kind: Kind, time: u64, content: &[u8]) {
        if self.missing > 0 {
            let missing = self.missing.to_le_bytes();
            if self.write(Kind::Lost, time, &missing).is_ok() {
                self.rotation.wrote(record_size(missing.len()), &[]);
                self.missing = 0;
            }
        }
        match self.missing == 0 && self.write(kind, time, content).is_ok() {
            true => self.rotation.wrote(record_size(content.len()), content),
            false => {
                self.missing += content.len() as u64;
                self.rotation.missed(content.len() as u64);
            }
        }
    }

    /// Writes a record where there is room for it.
    fn write(&mut self, kind: Kind, time: u64, content: &[u8]) -> Result<(), Errno> {
        let size = record_size(content.len());
        let room = self.rotation.room(size);
        let file = self.files.get(room.file).ok_or(Errno::BADF)?;
        if room.empty {
            // What is left of it would be overwritten as well.
            let _longer_than_need_be = ftruncate(file, 0);
        }
        let length = content.len();
        let header = Header { kind, length, time }.to_bytes();
        let parts = [IoSlice::new(&header), IoSlice::new(content)];
        let written = retry_on_intr(|| pwritev(file, &parts, room.offset))?;
        match written as u64 == size {
            true => Ok(()),
            false => Err(Errno::NOSPC),
        }
    }

    /// The end of what has been written.
    pub(super) fn end(&self) -> Place {
        self.rotation.end()
    }

    /// As [`Rotation::begin`].
    pub(super) fn begin(&self, tail: Option<u64>) -> (Cursor, u64) {
        self.rotation.begin(tail)
    }

    /// What comes next at `cursor`, which moves behind it. `buffer` has the content of a record afterwards.
    pub(super) fn next(&self, cursor: &mut Cursor, buffer: &mut Vec<u8>) -> Next {
        let (file, offset, size) = match self.rotation.look(cursor) {
            Found::Records { file, offset, size } => (file, offset, size),
            Found::Lost(count) => return Next::Lost(count),
            Found::End => return Next::End,
        };
        let Some(header) = self.read(file, offset, size - offset, buffer) else {
            return Next::Lost(self.rotation.leave_segment(cursor));
        };
        let size = record_size(header.length);
        if header.kind == Kind::Lost
            && let Ok(missing) = <[u8; 8]>::try_from(buffer.as_slice())
        {
            let missing = u64::from_le_bytes(missing);
            cursor.read_lost(size, missing);
            return Next::Lost(missing);
        }
        cursor.read(size, buffer);
        Next::Record(header)
    }

    /// Reads the record at `offset`, which ends within `left` bytes; `None` when that fails.
    fn read(&self, file: usize, offset: u64, left: u64, buffer: &mut Vec<u8>) -> Option<Header> {
        let file = self.files.get(file)?;
        let mut header = [0; HEADER_BYTES];
        read_exactly(file, &mut header, offset).ok()?;
        let header = Header::from_bytes(header).ok()?;
        if record_size(header.length) > left {
            return None;
        }
        buffer.clear();
        buffer.resize(header.length, 0);
        read_exactly(file, buffer, offset + HEADER_BYTES as u64).ok()?;
        Some(header)
    }
}

/// Bytes of a record with so much in it.
const fn record_size(content: usize) -> u64 {
    (HEADER_BYTES + content) as u64
}

fn read_exactly(file: &OwnedFd, buffer: &mut [u8], offset: u64) -> Result<(), Errno> {
    let mut filled = 0;
    while filled < buffer.len() {
        let rest = &mut buffer[filled..];
        match retry_on_intr(|| pread(file, &mut *rest, offset + filled as u64))? {
            0 => return Err(Errno::IO),
            count => filled += count,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

    use super::*;

    fn files() -> Vec<OwnedFd> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        (0..KEPT_FILES)
            .map(|_| memfd_create("log", flags).unwrap())
            .collect()
    }

    /// All that a reader gets from `cursor` on: the content, and how much it is told to be missing.
    fn read(log: &Log, mut cursor: Cursor) -> (Vec<u8>, u64) {
        let (mut all, mut lost) = (Vec::new(), 0);
        let mut buffer = Vec::new();
        loop {
            match log.next(&mut cursor, &mut buffer) {
                Next::Record(_) => all.extend_from_slice(&buffer),
                Next::Lost(count) => lost += count,
                Next::End => return (all, lost),
            }
        }
    }

    #[test]
    fn only_files_that_lead_nowhere_are_taken() {
        assert!(Log::new(files()).is_ok());
        assert!(Log::new(files().split_off(1)).is_err());
        let mut others = files();
        others[0] = std::fs::File::open("/dev/null").unwrap().into();
        assert!(Log::new(others).is_err());
        let mut named = files();
        named[0] = tempfile::NamedTempFile::new().unwrap().into_file().into();
        // The name went with the first handle.
        assert!(Log::new(named).is_ok());
    }

    #[test]
    fn what_cannot_be_written_is_said_where_it_is_missing() {
        let mut log = Log::with_limit(files(), 1000);
        log.append(Kind::Stdout, 1, b"before ");
        let file = log.files[0].try_clone().unwrap();
        fcntl_add_seals(&file, SealFlags::GROW).unwrap();
        log.append(Kind::Stdout, 2, b"not to be written");
        log.append(Kind::Stderr, 3, b"nor this");
        assert_eq!(read(&log, log.begin(None).0), (b"before ".to_vec(), 0));
        log.files[0] = memfd_create("log", MemfdFlags::CLOEXEC).unwrap();
        rustix::io::pwrite(&log.files[0], &[1; 23], 0).unwrap();
        log.append(Kind::Stdout, 4, b"after");
        let (mut cursor, mut buffer) = (log.begin(None).0, Vec::new());
        // The file that took the place of the first one has nonsense where that had a record.
        assert_eq!(
            log.next(&mut cursor, &mut buffer),
            Next::Lost(7 + 17 + 8 + 5)
        );
        assert_eq!(log.next(&mut cursor, &mut buffer), Next::End);
    }

    #[test]
    fn a_gap_is_told_with_its_size() {
        let mut log = Log::with_limit(files(), 1000);
        log.append(Kind::Stdout, 1, b"before");
        log.missing = 300;
        log.rotation.missed(300);
        log.append(Kind::Stdout, 2, b"after");
        assert_eq!(
            read(&log, log.begin(None).0),
            (b"beforeafter".to_vec(), 300)
        );
    }

    fn chunk() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![3 => any::<u8>(), 1 => Just(b'\n')];
        prop::collection::vec(byte, 1..60)
    }

    proptest! {
        /// Whatever is written: what is kept is the end of it, bounded, without a byte missing; a reader that keeps up
        /// gets all, one that does not gets the end and the size of its gap; and the tail is so many lines, where they
        /// are kept.
        #[test]
        fn the_newest_output_is_kept(
            chunks in prop::collection::vec(chunk(), 1..60),
            limit in 80..400_u64,
            tail in 0..30_usize,
            late in 0..60_usize,
        ) {
            let mut log = Log::with_limit(files(), limit);
            let (mut prompt, mut slow) = (log.begin(None).0, log.begin(None).0);
            let (mut written, mut heard, mut buffer) = (Vec::new(), Vec::new(), Vec::new());
            for (number, chunk) in chunks.iter().enumerate() {
                log.append(Kind::Stdout, 0, chunk);
                written.extend_from_slice(chunk);
                prop_assert!(matches!(log.next(&mut prompt, &mut buffer), Next::Record(_)));
                heard.extend_from_slice(&buffer);
                if number == late {
                    slow = prompt;
                }
            }
            prop_assert_eq!(&heard, &written);
            for file in &log.files {
                prop_assert!(fstat(file).unwrap().st_size.unsigned_abs() <= limit);
            }
            let (kept, lost) = read(&log, log.begin(None).0);
            prop_assert!(written.ends_with(&kept) && lost == 0);
            let all = chunks.iter().map(|chunk| record_size(chunk.len())).sum::<u64>();
            prop_assert!(kept.len() == written.len() || all > limit * 2);
            let before: usize = chunks.iter().take(late + 1).map(Vec::len).sum();
            let expected = if late < chunks.len() { before } else { 0 };
            let (end, gap) = read(&log, slow);
            prop_assert_eq!(expected as u64 + gap + end.len() as u64, written.len() as u64);
            prop_assert!(written.ends_with(&end));

            let (cursor, lines) = log.begin(Some(tail as u64));
            let line = cursor.line;
            let (rest, _) = read(&log, cursor);
            let skipped = lines.saturating_sub(line);
            let begin = super::super::rotation::after_lines(&rest, skipped).unwrap_or(rest.len());
            let shown: Vec<_> = rest[begin..].split_inclusive(|b| *b == b'\n').collect();
            let model: Vec<_> = kept.split_inclusive(|b| *b == b'\n').collect();
            let model = &model[model.len().saturating_sub(tail)..];
            prop_assert_eq!(shown, model);
        }
    }
}
