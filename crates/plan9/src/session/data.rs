//! Bytes of files, and entries of directories.

use rustix::{
    fs::{FileType, RawDir, SeekFrom, fdatasync, fsync, seek},
    io::{Errno, pread, pwrite},
};

use super::{Session, kind};
use crate::{
    message::HEADER,
    reply::{Qid, Reply},
    share::Shares,
};

/// Bytes of an answer with data before them.
const BEFORE_DATA: u32 = HEADER + 4;
/// Entries that are asked of the kernel at one time, in bytes.
const ENTRIES: usize = 16 << 10;
/// Bytes of an entry beside its name.
const ENTRY: usize = 13 + 8 + 1 + 2;

impl<S: Shares> Session<S> {
    /// Bytes that fit into an answer, of those that are asked for.
    fn fitting(&self, count: u32) -> usize {
        let most = self.size().saturating_sub(BEFORE_DATA);
        usize::try_from(count.min(most)).unwrap_or_default()
    }

    pub(super) fn read(
        &self,
        fid: u32,
        at: u64,
        count: u32,
        reply: &mut Reply,
    ) -> Result<(), Errno> {
        let fid = self.fid(fid)?;
        let file = fid.file()?;
        if fid.node.is_directory() {
            return Err(Errno::ISDIR);
        }
        reply.body.u32(0);
        let length = pread(file, reply.room(self.fitting(count)), at)?;
        reply.truncate(4 + length);
        reply.set_u32(0, u32::try_from(length).unwrap_or_default());
        Ok(())
    }

    pub(super) fn write(
        &self,
        fid: u32,
        at: u64,
        data: &[u8],
        reply: &mut Reply,
    ) -> Result<(), Errno> {
        let fid = self.fid(fid)?;
        // The file was not opened for writing either.
        fid.writable()?;
        let length = pwrite(fid.file()?, data, at)?;
        reply.body.u32(u32::try_from(length).unwrap_or_default());
        Ok(())
    }

    pub(super) fn sync(&self, fid: u32, data_only: bool) -> Result<(), Errno> {
        let file = self.fid(fid)?.file()?;
        match data_only {
            true => fdatasync(file),
            false => fsync(file),
        }
    }

    /// Entries from the place `at` on, which is 0 or that of the last entry the guest has got.
    pub(super) fn read_dir(
        &mut self,
        fid: u32,
        at: u64,
        count: u32,
        reply: &mut Reply,
    ) -> Result<(), Errno> {
        let most = self.fitting(count);
        let fid = self.fid(fid)?.clone();
        let file = fid.file()?;
        fid.node.directory()?;
        let (own, above) = (fid.node.about()?, fid.node.above().about()?);
        let (own_qid, above_qid) = (self.qid(&own), self.qid(&above));
        seek(file, SeekFrom::Start(at))?;
        let mut buffer = Vec::with_capacity(ENTRIES);
        let mut entries = RawDir::new(file, buffer.spare_capacity_mut());
        reply.body.u32(0);
        let mut is_full = false;
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if !fid.node.shows(name) {
                continue;
            }
            if reply.length() - 4 + ENTRY + name.len() > most {
                is_full = true;
                break;
            }
            let qid = match name {
                b"." => own_qid,
                b".." => above_qid,
                _ => Qid {
                    kind: kind(entry.file_type()),
                    version: 0,
                    path: self.path(own.st_dev, entry.ino()),
                },
            };
            let next = entry.next_entry_cookie();
            let entry_type = entry_type(entry.file_type());
            reply.qid(qid).body.u64(next).u8(entry_type).text(name);
        }
        let length = reply.length() - 4;
        // Nothing would be the end of the directory.
        if is_full && length == 0 {
            return Err(Errno::INVAL);
        }
        reply.set_u32(0, u32::try_from(length).unwrap_or_default());
        Ok(())
    }
}

/// The type of an entry, as `readdir(3)` numbers it (`DT_*`).
const fn entry_type(file_type: FileType) -> u8 {
    match file_type {
        FileType::Fifo => 1,
        FileType::CharacterDevice => 2,
        FileType::Directory => 4,
        FileType::BlockDevice => 6,
        FileType::RegularFile => 8,
        FileType::Symlink => 10,
        FileType::Socket => 12,
        FileType::Unknown => 0,
    }
}
