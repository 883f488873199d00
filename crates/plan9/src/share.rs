//! What is shared.

use std::{
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::{
    fs::{FileType, fstat},
    io::Errno,
};

/// A directory that is shared.
#[derive(Debug)]
pub struct Share {
    root: OwnedFd,
    read_only: bool,
    withdrawn: AtomicBool,
}

impl Share {
    /// Shares the directory `root`; `O_PATH` is enough. With `read_only` nothing of it is changed.
    ///
    /// # Errors
    /// `ENOTDIR`: it is none.
    pub fn new(root: OwnedFd, read_only: bool) -> Result<Self, Errno> {
        let about = fstat(&root)?;
        if FileType::from_raw_mode(about.st_mode) != FileType::Directory {
            return Err(Errno::NOTDIR);
        }
        Ok(Self {
            root,
            read_only,
            withdrawn: AtomicBool::new(false),
        })
    }

    /// Ends it: from then on each request about a file of it fails with `ESTALE`. Any thread may call.
    pub fn withdraw(&self) {
        self.withdrawn.store(true, Ordering::Release);
    }

    pub(crate) fn is_withdrawn(&self) -> bool {
        self.withdrawn.load(Ordering::Acquire)
    }

    pub(crate) const fn is_read_only(&self) -> bool {
        self.read_only
    }

    pub(crate) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }
}

/// What a guest can attach to on one connection.
pub trait Shares {
    /// The share of this name (`aname` of the guest's mount).
    fn find(&self, name: &[u8]) -> Option<Arc<Share>>;
}
