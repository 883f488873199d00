//! Reading files of the system. Its root user may have put anything in their place, so nothing here blocks and
//! everything is bounded.

use hcs_wire::errno;
use std::{
    cell::RefCell,
    os::fd::{AsFd as _, OwnedFd},
    rc::Rc,
    time::{SystemTime, UNIX_EPOCH},
};

use rustix::{
    fs::{FileType, Mode, OFlags, Stat, fstat, fstatfs, open},
    io::Errno,
};

use crate::own::{Own, PROC_SUPER_MAGIC};

/// The largest `/etc/passwd` or `/etc/group` that is read.
pub(crate) const MAX_ACCOUNTS_BYTES: usize = 4 << 20;
/// The largest file that is remembered, and not read again while it is unchanged.
const MAX_REMEMBERED_BYTES: usize = 64 << 10;
/// Seconds that a file has to be unchanged before its contents are remembered: with time stamps as coarse as those of
/// any file system, a later change has another one.
const SETTLED_SECONDS: i64 = 3;
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
    #[error("{}", errno::words(*.0))]
    Errno(Errno),
}

impl From<Errno> for ReadError {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

/// What tells two states of a file apart: device, inode, size, and the times of its last changes in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version {
    device: u64,
    inode: u64,
    size: i64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Version {
    fn of(stat: &Stat) -> Self {
        // The kernel's nanoseconds are below 10^9.
        let nanoseconds = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: stat.st_size,
            modified: (stat.st_mtime, nanoseconds(stat.st_mtime_nsec)),
            changed: (stat.st_ctime, nanoseconds(stat.st_ctime_nsec)),
        }
    }

    /// Whether a change after `now`, in seconds since the epoch, gives the file another version for certain.
    const fn is_settled(&self, now: i64) -> bool {
        self.changed.0.saturating_add(SETTLED_SECONDS) <= now
            && self.modified.0.saturating_add(SETTLED_SECONDS) <= now
    }
}

/// A text file of the system that is read again and again; the contents are remembered as long as the file stays the
/// same. Each start of a process reads the files of accounts, and to open a file is the dear part of that.
#[derive(Debug)]
pub(crate) struct TextFile {
    path: &'static str,
    remembered: RefCell<Option<(Version, Rc<str>)>>,
}

impl TextFile {
    pub(crate) const fn new(path: &'static str) -> Self {
        Self {
            path,
            remembered: RefCell::new(None),
        }
    }

    pub(crate) const fn path(&self) -> &'static str {
        self.path
    }

    /// The text of the regular file, broken UTF-8 replaced; empty when there is no such file. The file is looked at
    /// before it is opened: opening a FIFO or a device may have effects of its own.
    ///
    /// # Errors
    /// It is no regular file, has more than `limit` bytes, or cannot be opened or read.
    pub(crate) fn read(&self, own: &Own, limit: usize) -> Result<Rc<str>, ReadError> {
        let found = match open(self.path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
            Ok(found) => found,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Rc::from("")),
            Err(errno) => return Err(errno.into()),
        };
        let stat = fstat(&found)?;
        let version = Version::of(&stat);
        if let Some((known, text)) = &*self.remembered.borrow()
            && *known == version
        {
            return Ok(Rc::clone(text));
        }
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind != FileType::RegularFile {
            return Err(ReadError::Kind(kind_in_words(kind)));
        }
        if fstatfs(&found)?.f_type == PROC_SUPER_MAGIC {
            return Err(ReadError::Proc);
        }
        // A lease that a process inside holds on it causes no delay.
        let flags = OFlags::RDONLY | OFlags::NOCTTY | OFlags::NONBLOCK;
        let file = own.reopen(found.as_fd(), flags)?;
        let text = Rc::<str>::from(read_open(&file, limit)?);
        let may_remember = text.len() <= MAX_REMEMBERED_BYTES && version.is_settled(now());
        *self.remembered.borrow_mut() = may_remember.then(|| (version, Rc::clone(&text)));
        Ok(text)
    }
}

/// Seconds since the epoch.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(0))
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

#[cfg(test)]
mod tests {
    use super::*;

    const VERSION: Version = Version {
        device: 1,
        inode: 2,
        size: 3,
        modified: (100, 0),
        changed: (100, 5),
    };

    #[test]
    fn only_files_that_were_not_changed_for_a_while_are_remembered() {
        assert!(!VERSION.is_settled(100));
        assert!(!VERSION.is_settled(102));
        assert!(VERSION.is_settled(103));
        let of_the_future = Version {
            changed: (i64::MAX, 0),
            ..VERSION
        };
        assert!(!of_the_future.is_settled(103));
        let times_set_by_hand = Version {
            modified: (200, 0),
            ..VERSION
        };
        assert!(!times_set_by_hand.is_settled(103));
    }

    #[test]
    fn a_file_that_was_changed_is_read_again() {
        let own = Own::at_usual_places();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("passwd");
        let file = TextFile::new(String::leak(path.to_str().unwrap().to_owned()));
        let read = || file.read(&own, 100).unwrap();
        assert_eq!(&*read(), "", "there is none");
        std::fs::write(&path, "one").unwrap();
        assert_eq!(&*read(), "one");
        // In the same moment, with the same size.
        std::fs::write(&path, "two").unwrap();
        assert_eq!(&*read(), "two");
        // As if it had been there for long.
        let version = Version::of(&rustix::fs::stat(&path).unwrap());
        *file.remembered.borrow_mut() = Some((version, Rc::from("remembered")));
        assert_eq!(&*read(), "remembered");
        std::fs::write(&path, "three").unwrap();
        assert_eq!(&*read(), "three");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(&*read(), "");
        std::fs::create_dir(&path).unwrap();
        assert_eq!(file.read(&own, 100), Err(ReadError::Kind("a directory")));
    }
}
