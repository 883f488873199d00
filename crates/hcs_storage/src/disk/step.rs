//! How a step of the work on a disk fails.

use std::{io, os::unix::ffi::OsStrExt as _, path::Path};

use rustix::io::Errno;

use crate::{Refusal, StorageError};

/// Where the bytes of a disk are in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// A failure of a step, without the name of the file.
#[derive(Debug)]
pub(super) enum Failed {
    Refused(Refusal),
    Kernel(Errno),
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Errno> for Failed {
    fn from(errno: Errno) -> Self {
        Self::Kernel(errno)
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Refusal::NoDisk("it is cut off").into(),
            _ => Self::Kernel(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
        }
    }
}

impl Failed {
    /// The same with the name.
    pub(super) fn of(self, action: &'static str, name: &Path) -> StorageError {
        let name = name.as_os_str().as_bytes();
        match self {
            Self::Refused(refusal) => StorageError::refused(name, refusal),
            Self::Kernel(errno) => StorageError::step(action, name, errno),
        }
    }
}
