//! What is shared.

use std::{
    collections::BTreeSet,
    fmt,
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

/// Directories that no guest sees into, wherever they are in a share. They are told by device and inode.
pub trait Covered: fmt::Debug + Send + Sync {
    /// Whether a directory is one of them.
    fn covers(&self, device: u64, inode: u64) -> bool;

    /// Whether one of them lies in the directory: a guest that moved it would take that away from where it belongs.
    fn is_above(&self, device: u64, inode: u64) -> bool;
}

/// A directory that is shared.
#[derive(Debug)]
pub struct Share {
    root: OwnedFd,
    read_only: bool,
    withdrawn: AtomicBool,
    covered: Option<Arc<dyn Covered>>,
    only: Option<Arc<BTreeSet<Vec<u8>>>>,
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
            covered: None,
            only: None,
        })
    }

    /// The same without what is in those directories.
    #[must_use]
    pub fn without(self, covered: Arc<dyn Covered>) -> Self {
        Self {
            covered: Some(covered),
            ..self
        }
    }

    /// The same with no entries of its root but those of these names: a guest sees no others there and makes none. What
    /// is below a directory of such a name is all shared.
    #[must_use]
    pub fn with_only(self, names: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self {
            only: Some(Arc::new(names.into_iter().collect())),
            ..self
        }
    }

    pub(crate) const fn only(&self) -> Option<&Arc<BTreeSet<Vec<u8>>>> {
        self.only.as_ref()
    }

    pub(crate) const fn covered(&self) -> Option<&Arc<dyn Covered>> {
        self.covered.as_ref()
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
