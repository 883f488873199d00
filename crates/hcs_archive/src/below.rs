//! [`Below`]: a directory, and the only way to what is in it.
//!
//! Names are resolved by `openat2(2)`: no symbolic link on the way is followed, and no path leaves
//! the directory.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{Mode, OFlags, ResolveFlags, openat2},
    io::Errno,
};

/// How often a path is resolved again that was changed meanwhile.
const TRIES: u32 = 16;

/// A directory that paths begin at.
#[derive(Debug)]
pub(crate) struct Below {
    root: OwnedFd,
}

impl Below {
    pub(crate) const fn new(root: OwnedFd) -> Self {
        Self { root }
    }

    /// Opens `path`, which is relative; the empty one is the directory itself. A symbolic link at its end can be opened
    /// with `O_PATH` and `O_NOFOLLOW`; elsewhere it is refused by `ELOOP`.
    pub(crate) fn open(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let path = match path.as_os_str().is_empty() {
            true => Path::new("."),
            false => path,
        };
        let flags = flags | OFlags::CLOEXEC;
        let resolve =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let mut tries = TRIES;
        loop {
            match openat2(&self.root, path, flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN | Errno::INTR) if tries > 0 => tries -= 1,
                other => return other,
            }
        }
    }

    /// Opens a directory, to make or find files in it by name.
    pub(crate) fn directory(&self, path: &Path) -> Result<OwnedFd, Errno> {
        self.open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW)
    }
}

impl AsFd for Below {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }
}
