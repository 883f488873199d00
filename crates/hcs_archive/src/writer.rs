//! [`Writer`]: entries as a tar stream with the long names of GNU.

use std::{
    ffi::OsStr,
    io::{self, BufWriter, Write},
    os::unix::ffi::OsStrExt as _,
};

use tar::{EntryType, Header};

use crate::{ArchiveError, reader::BLOCK};

/// Size of the buffer in front of the stream.
const BUFFER: usize = 128 << 10;

/// What a header says beside the name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attributes {
    pub(crate) entry_type: EntryType,
    pub(crate) size: u64,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) modified: i64,
}

/// Writes a stream.
#[derive(Debug)]
pub(crate) struct Writer<W: Write> {
    stream: BufWriter<W>,
    /// Zeros that are due behind the data.
    padding: usize,
}

impl<W: Write> Writer<W> {
    pub(crate) fn new(stream: W) -> Self {
        Self {
            stream: BufWriter::with_capacity(BUFFER, stream),
            padding: 0,
        }
    }

    /// Begins an entry; `attributes.size` bytes of data have to follow.
    pub(crate) fn begin(
        &mut self,
        name: &OsStr,
        link: Option<&OsStr>,
        attributes: &Attributes,
    ) -> Result<(), ArchiveError> {
        let mut header = Header::new_gnu();
        header.set_entry_type(attributes.entry_type);
        header.set_size(attributes.size);
        header.set_mode(attributes.mode & 0o7777);
        header.set_uid(attributes.uid.into());
        header.set_gid(attributes.gid.into());
        // Times before 1970 have no place in a header.
        header.set_mtime(u64::try_from(attributes.modified).unwrap_or(0));
        if let Some(link) = link {
            self.put(
                &mut header.as_old_mut().linkname,
                EntryType::GNULongLink,
                link.as_bytes(),
            )?;
        }
        self.put(
            &mut header.as_old_mut().name,
            EntryType::GNULongName,
            name.as_bytes(),
        )?;
        header.set_cksum();
        self.write(header.as_bytes())?;
        self.padding =
            usize::try_from(attributes.size % BLOCK as u64).map_or(0, |tail| match tail {
                0 => 0,
                tail => BLOCK - tail,
            });
        Ok(())
    }

    /// Writes data of the entry.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.stream.write_all(bytes).map_err(cannot_write)
    }

    /// Ends the data of the entry.
    pub(crate) fn end(&mut self) -> Result<(), ArchiveError> {
        let padding = std::mem::take(&mut self.padding);
        self.write([0; BLOCK].get(..padding).unwrap_or_default())
    }

    /// Ends the archive.
    pub(crate) fn finish(mut self) -> Result<(), ArchiveError> {
        self.write(&[0; 2 * BLOCK])?;
        self.stream.flush().map_err(cannot_write)
    }

    /// Puts a name into its field; one that is too long comes before the entry as a record, and its start in the field.
    fn put(
        &mut self,
        field: &mut [u8; 100],
        record: EntryType,
        name: &[u8],
    ) -> Result<(), ArchiveError> {
        for (place, byte) in field.iter_mut().zip(name) {
            *place = *byte;
        }
        if name.len() <= field.len() {
            return Ok(());
        }
        let mut header = Header::new_gnu();
        header.set_entry_type(record);
        header.set_size(name.len() as u64 + 1);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        for (place, byte) in header.as_old_mut().name.iter_mut().zip(b"././@LongLink") {
            *place = *byte;
        }
        header.set_cksum();
        self.write(header.as_bytes())?;
        self.write(name)?;
        // The NUL at its end, and what fills the block.
        let zeros = (name.len() + 1).next_multiple_of(BLOCK) - name.len();
        self.write([0; BLOCK + 1].get(..zeros).unwrap_or_default())
    }
}

const fn cannot_write(source: io::Error) -> ArchiveError {
    ArchiveError::Stream {
        doing: "written",
        source,
    }
}
