//! Reading files of the system. Whoever is root in there may have put anything in their place, so nothing here blocks
//! and everything is bounded.

use std::os::fd::{AsFd as _, OwnedFd};

use rustix::{
    fs::{FileType, Mode, OFlags, fstat, fstatfs, open},
    io::Errno,
};

use crate::{
    failure::words,
    own::{Own, PROC_SUPER_MAGIC},
};

/// The largest `/etc/passwd` or `/etc/group` that is read.
pub(crate) const MAX_ACCOUNTS_BYTES: usize = 4 << 20;
/// The largest file of `/proc` that is read.
pub(crate) const MAX_PROC_BYTES: usize = 64 << 10;

/// Why a file was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReadError {
    /// Something else is in its place.
    #[error("it is {0} and has to be a regular file")]
    Kind(&'static str),
    /// The kernel's word about a process, the agent's own maybe, is no file of the system.
    #[error("it leads to a file of /proc and has to be a regular file")]
    Proc,
    /// It does not end soon enough.
    #[error("it is too large: more than {0} bytes")]
    TooLarge(usize),
    /// The kernel refused it.
    #[error("{}", words(*.0))]
    Errno(Errno),
}

impl From<Errno> for ReadError {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

/// The text of the regular file `path`, broken UTF-8 replaced; empty when there is no such file. It is looked at before it
/// is opened: opening a FIFO or a device may have effects of its own.
///
/// # Errors
/// It is no regular file, has more than `limit` bytes, or cannot be opened or read.
pub(crate) fn read(own: &Own, path: &str, limit: usize) -> Result<String, ReadError> {
    let found = match open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
        Ok(found) => found,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(String::new()),
        Err(errno) => return Err(errno.into()),
    };
    let kind = FileType::from_raw_mode(fstat(&found)?.st_mode);
    if kind != FileType::RegularFile {
        return Err(ReadError::Kind(kind_in_words(kind)));
    }
    if fstatfs(&found)?.f_type == PROC_SUPER_MAGIC {
        return Err(ReadError::Proc);
    }
    // A lease that somebody inside holds on it delays nobody.
    let flags = OFlags::RDONLY | OFlags::NOCTTY | OFlags::NONBLOCK;
    let file = own.reopen(found.as_fd(), flags)?;
    read_open(&file, limit)
}

/// The text of an open file, broken UTF-8 replaced.
///
/// # Errors
/// It has more than `limit` bytes, or cannot be read.
pub(crate) fn read_open(file: &OwnedFd, limit: usize) -> Result<String, ReadError> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        match rustix::io::read(file, &mut chunk) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        if bytes.len() > limit {
            return Err(ReadError::TooLarge(limit));
        }
    }
    Ok(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

const fn kind_in_words(kind: FileType) -> &'static str {
    match kind {
        FileType::Directory => "a directory",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "something else",
    }
}
