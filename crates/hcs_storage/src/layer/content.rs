//! Bytes of a file, with holes where they are zero.

use std::{
    io::{self, Read},
    os::fd::BorrowedFd,
};

use rustix::{
    fs::ftruncate,
    io::{Errno, pwrite},
};

/// Bytes that become a hole when all are zero: a page, and a block of most file systems.
const HOLE: usize = 4096;
/// Bytes that are read at once.
const CHUNK: usize = 16 * HOLE;

/// Why a content was not written.
pub(super) enum Failed {
    /// Its source could not be read.
    Source(io::Error),
    /// The file could not be written.
    File(Errno),
    /// There are only so many bytes.
    Short(u64),
}

/// Bytes between a source and a file, for one file after the other.
pub(super) struct Chunk(Vec<u8>);

impl Chunk {
    pub(super) fn new() -> Self {
        Self(vec![0; CHUNK])
    }

    /// Writes `size` bytes of `content` into the empty file `file`.
    pub(super) fn write(
        &mut self,
        file: BorrowedFd<'_>,
        content: &mut dyn Read,
        size: u64,
    ) -> Result<(), Failed> {
        let (mut position, mut end) = (0, 0);
        while position < size {
            let want = usize::try_from(size - position).unwrap_or(CHUNK).min(CHUNK);
            let chunk = &mut self.0[..want];
            let read = fill(content, chunk).map_err(Failed::Source)?;
            let written = write_chunk(file, &chunk[..read], position);
            end = written.map_err(Failed::File)?.unwrap_or(end);
            position += read as u64;
            if read < want {
                return Err(Failed::Short(position));
            }
        }
        // A hole at the end was left out.
        match end < size {
            true => ftruncate(file, size).map_err(Failed::File),
            false => Ok(()),
        }
    }
}

/// Reads until `buffer` is full, or the source ends.
fn fill(source: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Writes the blocks of `chunk` that are not all zero, neighbours in one go; returns where the last of them ends.
fn write_chunk(file: BorrowedFd<'_>, chunk: &[u8], position: u64) -> Result<Option<u64>, Errno> {
    let is_zero = |block: &[u8]| block.iter().all(|byte| *byte == 0);
    let mut end = None;
    let mut at = 0;
    while at < chunk.len() {
        let blocks = |zero| {
            let rest = chunk[at..].chunks(HOLE);
            let run = rest.take_while(|block| is_zero(block) == zero);
            run.map(<[u8]>::len).sum::<usize>()
        };
        let hole = blocks(true);
        if hole > 0 {
            at += hole;
            continue;
        }
        let data = blocks(false);
        write_all(file, &chunk[at..at + data], position + at as u64)?;
        at += data;
        end = Some(position + at as u64);
    }
    Ok(end)
}

fn write_all(file: BorrowedFd<'_>, mut bytes: &[u8], mut position: u64) -> Result<(), Errno> {
    while !bytes.is_empty() {
        let written = match pwrite(file, bytes, position) {
            Ok(0) => return Err(Errno::IO),
            Ok(written) => written,
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(errno),
        };
        bytes = &bytes[written..];
        position += written as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::fd::AsFd as _, os::unix::fs::MetadataExt as _};

    use super::*;

    #[test]
    fn zeros_become_holes_and_all_bytes_are_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let file = fs::File::create(&path).unwrap();
        let mut content = vec![0; 1 << 20];
        content[300_000] = 1;
        content[1_048_570] = 2;
        let size = content.len() as u64;
        let written = Chunk::new().write(file.as_fd(), &mut &content[..], size);
        assert!(written.is_ok());
        assert_eq!(fs::read(&path).unwrap(), content);
        assert!(file.metadata().unwrap().blocks() * 512 <= 64 << 10);
    }

    #[test]
    fn a_short_content_is_told() {
        let file = tempfile::tempfile().unwrap();
        let written = Chunk::new().write(file.as_fd(), &mut &b"abc"[..], 4);
        assert!(matches!(written, Err(Failed::Short(3))));
    }
}
