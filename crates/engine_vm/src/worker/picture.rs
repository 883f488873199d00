//! A picture of the machine's screen.
//!
//! QEMU writes it to a file of this process, which it is given once and keeps: a QEMU before 9.1 closes no file while
//! the processors stand still. What is handed on is a copy, so that the next picture does not change it.

use std::{
    fs::File,
    io::{self, Seek as _},
    os::{
        fd::{AsFd as _, AsRawFd as _, OwnedFd},
        unix::fs::FileExt as _,
    },
    time::Duration,
};

use rustix::fs::{MemfdFlags, Mode, OFlags, memfd_create, open};

use crate::{
    protocol::LARGEST_PICTURE,
    qmp::{
        Client, QmpError,
        command::{AddFd, QueryStatus, ScreenDump},
    },
};

/// How long QEMU may take for a picture.
const LIMIT: Duration = Duration::from_secs(4);

/// What a file of the format PNG begins with.
const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";

/// The number of QEMU's file; those of disks are lower.
pub(crate) const SET: u32 = 1 << 17;

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub(super) enum PictureError {
    /// It cannot be kept.
    #[error("the picture cannot be kept: {0}")]
    Io(#[from] io::Error),
    /// It is too long.
    #[error("QEMU made a picture of {0} bytes, and at most {LARGEST_PICTURE} are passed on")]
    TooLarge(u64),
    /// It is none.
    #[error("QEMU made no picture in the format PNG")]
    NoPicture,
    /// QEMU did not make it.
    #[error(transparent)]
    Qmp(#[from] QmpError),
}

/// The file that QEMU writes to, once it has it.
#[derive(Debug, Default)]
pub(super) struct Pictures(Option<File>);

impl Pictures {
    /// Has QEMU write a picture of the screen as it is now, in the format PNG.
    pub(super) fn take(&mut self, monitor: &mut Client) -> Result<OwnedFd, PictureError> {
        let file = match &mut self.0 {
            Some(file) => {
                // QEMU executes one command after the other: once it answers, a picture that was late is written.
                monitor.execute(&QueryStatus, LIMIT)?;
                file
            }
            none => none.insert(give(monitor)?),
        };
        // QEMU writes where the last picture ended: the file's position is shared.
        file.set_len(0)?;
        file.rewind()?;
        monitor.execute(&ScreenDump { set: SET }, LIMIT)?;
        let length = file.metadata()?.len();
        if length > LARGEST_PICTURE {
            // It is memory of the machine's group.
            file.set_len(0)?;
            return Err(PictureError::TooLarge(length));
        }
        let reader = File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        if !is_picture(&reader) {
            return Err(PictureError::NoPicture);
        }
        let mut copy = File::from(memory()?);
        io::copy(&mut io::Read::take(reader, LARGEST_PICTURE), &mut copy)?;
        Ok(copy.into())
    }
}

/// Whether the file begins as a picture does.
fn is_picture(file: &File) -> bool {
    let mut first = [0; SIGNATURE.len()];
    // A file that is too short has no picture.
    file.read_exact_at(&mut first, 0).is_ok() && first == SIGNATURE
}

/// Gives QEMU the file, which it may only write, as it opens it.
fn give(monitor: &mut Client) -> Result<File, PictureError> {
    let memory = memory()?;
    let path = format!("/proc/self/fd/{}", memory.as_raw_fd());
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = open(path, flags, Mode::empty()).map_err(io::Error::from)?;
    let add = AddFd {
        set: SET,
        file: file.as_fd(),
    };
    monitor.execute(&add, LIMIT)?;
    Ok(file.into())
}

fn memory() -> Result<OwnedFd, io::Error> {
    Ok(memfd_create("picture", MemfdFlags::CLOEXEC)?)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_picture_begins_with_the_signature_of_its_format() {
        let cases: [(&[u8], bool); 4] = [
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", true),
            (b"\x89PNG\r\n\x1a", false),
            (b"\0\0\0\0\0\0\0\0\0\0\0\0IDAT", false),
            (b"", false),
        ];
        for (content, expected) in cases {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(content).unwrap();
            assert_eq!(is_picture(&file), expected, "{content:?}");
        }
    }
}
