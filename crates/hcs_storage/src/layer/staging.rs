//! The directory of an import that is not whole yet.
//!
//! It lies beside the layer to be, under a name that no layer has, and is renamed when all of it is on disk. It is
//! locked for as long as its import goes on; so what a killed import left is known by being free, and [`sweep`] removes
//! it. The parent is locked while one is made and not locked yet, and while a layer that is to be deleted gets such a
//! name.
//!
//! The locks are those of [`holds`], which others cannot hold. An unfinished layer gets the owner that it is to have,
//! and importers may be different users: so it is locked twice, by itself as well. Another process that holds that lock
//! keeps what was left from being removed, and nothing else.

use std::{
    ffi::OsStr,
    os::{
        fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use hcs_wire::holds::{self, Hold, Kind};
use rustix::{
    fs::{
        CWD, Dir, Gid, Mode, OFlags, RenameFlags, Uid, fchmod, fchown, fstat, fsync, mkdirat,
        openat, renameat_with, syncfs,
    },
    io::Errno,
};

use super::{Rights, attributes, remove::remove_at};
use crate::StorageError;

const PREFIX: &[u8] = b".partial-";
/// How often another name is tried, where a killed import of a process with the same number has left one.
const TRIES: u64 = 1000;
/// How long a lock of the parent is waited for: those that take it have it for a few system calls.
const PATIENCE: Duration = Duration::from_secs(10);
const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// The users that may enter the directory of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entrance {
    /// The users that the layer itself names: it lies in a directory that is closed.
    AsItIs,
    /// Root alone. Set-user-ID programs of root, device nodes, and files that all users may write are in a layer. Below
    /// a directory that others may enter they would have an effect on the host.
    Closed,
}

impl Entrance {
    /// For a layer in any directory: one of root is closed. The files of other users give no rights but theirs.
    pub(super) fn closed_for(rights: Rights) -> Self {
        match rights {
            Rights::Root => Self::Closed,
            Rights::User(_) | Rights::Content => Self::AsItIs,
        }
    }
}

/// A directory that is removed unless it is committed.
#[derive(Debug)]
pub(crate) struct Staging {
    parent: OwnedFd,
    own: Vec<u8>,
    target: Vec<u8>,
    /// Both locks of it, given up before it can be gone: a later one may have its number.
    _held: (Option<Hold>, Option<Hold>),
    root: OwnedFd,
    entrance: Entrance,
    committed: bool,
}

impl Staging {
    /// Makes one for the layer that is to be at `target`, whose parent exists.
    pub(crate) fn begin(target: &Path, entrance: Entrance) -> Result<Self, StorageError> {
        let shown = target.as_os_str().as_bytes();
        let failed = |action, errno| StorageError::step(action, shown, errno);
        let name = target.file_name().map(OsStr::as_bytes);
        let name = name.ok_or_else(|| failed("naming the layer", Errno::INVAL))?;
        let parent = open_parent(target).map_err(|errno| failed("opening the parent of", errno))?;
        let making = |errno| failed("making a directory beside", errno);
        // A sweep does not see a directory that is there and not locked yet.
        let unseen = lock(parent.as_fd(), Kind::Shared).map_err(making)?;
        let own = make(parent.as_fd()).map_err(making)?;
        let opened = openat(&parent, &*own, DIRECTORY, Mode::empty()).and_then(|root| {
            let held = holds::take_made(root.as_fd())?;
            Ok((root, held))
        });
        let (root, held) = opened.map_err(|errno| {
            // What cannot be removed is left to the next sweep.
            let _left = remove_at(parent.as_fd(), &own);
            making(errno)
        })?;
        let staging = Self {
            parent,
            own,
            target: name.to_vec(),
            _held: held,
            root,
            entrance,
            committed: false,
        };
        drop(unseen);
        attributes::remove_access_lists(staging.parent.as_fd(), &staging.own).map_err(making)?;
        Ok(staging)
    }

    /// The directory.
    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// A path of the directory, for as long as this lives.
    pub(crate) fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.root.as_raw_fd()).into()
    }

    /// Makes it the layer, once all of it is on disk.
    pub(crate) fn commit(mut self) -> Result<(), StorageError> {
        let failed = |action, errno| StorageError::step(action, &self.target, errno);
        if self.entrance == Entrance::Closed {
            close(&self.root).map_err(|errno| failed("keeping others out of", errno))?;
        }
        syncfs(&self.root).map_err(|errno| failed("writing to disk", errno))?;
        let (own, target) = (&*self.own, &*self.target);
        let renamed = renameat_with(
            &self.parent,
            own,
            &self.parent,
            target,
            RenameFlags::NOREPLACE,
        );
        renamed.map_err(|errno| failed("giving its name to", errno))?;
        let synced = fsync(&self.parent);
        synced.map_err(|errno| failed("writing to disk the name of", errno))?;
        self.committed = true;
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.committed {
            // What cannot be removed is left to the next sweep.
            let _left = remove_at(self.parent.as_fd(), &self.own);
        }
    }
}

/// Leaves a directory to root. Its owner in the layer could enter it whatever its mode is.
fn close(directory: &OwnedFd) -> Result<(), Errno> {
    let mode = Mode::from_raw_mode(fstat(directory)?.st_mode & 0o7700);
    fchown(directory, Some(Uid::ROOT), Some(Gid::ROOT))?;
    fchmod(directory, mode)
}

/// Renames the layer `name` in `parent`, so that a [`sweep`] takes it for an import that was killed, unless it is
/// locked. Returns its name then.
pub(super) fn set_aside(parent: BorrowedFd<'_>, name: &[u8]) -> Result<Vec<u8>, Errno> {
    for _ in 0..TRIES {
        let aside = next_name();
        match renameat_with(parent, name, parent, &*aside, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(aside),
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno::EXIST)
}

/// Removes what killed imports and deletions have left in `parent`; returns how many were removed. Imports that go on
/// are left alone.
///
/// # Errors
/// The directory cannot be read, or something in it cannot be removed.
pub fn sweep(parent: &Path) -> Result<usize, StorageError> {
    let bytes = parent.as_os_str().as_bytes();
    let failed = |errno| StorageError::step("removing unfinished layers in", bytes, errno);
    sweep_at(parent).map_err(failed)
}

fn sweep_at(parent: &Path) -> Result<usize, Errno> {
    let parent = openat(CWD, parent, DIRECTORY & !OFlags::NOFOLLOW, Mode::empty())?;
    sweep_in(parent.as_fd())
}

/// As [`sweep`], in an open directory.
pub(super) fn sweep_in(parent: BorrowedFd<'_>) -> Result<usize, Errno> {
    let is_shared = fstat(parent)?.st_mode & 0o022 != 0;
    let mut removed = 0;
    for entry in Dir::read_from(parent)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !is_own_name(name) {
            continue;
        }
        let found = match openat(parent, name, DIRECTORY, Mode::empty()) {
            // It is gone, or about to get its name: only a whole layer may have permissions that shut out its owner.
            Err(Errno::NOENT | Errno::ACCESS) => continue,
            found => found?,
        };
        // In a directory that others may write to it may be theirs. In any other it is a layer of another owner.
        if is_shared && fstat(&found)?.st_uid != rustix::process::geteuid().as_raw() {
            continue;
        }
        let complete = lock(parent, Kind::Alone)?;
        let Ok(_held) = holds::take_both(found.as_fd(), Kind::Alone) else {
            continue;
        };
        drop(complete);
        match remove_at(parent, name) {
            Ok(()) => removed += 1,
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(removed)
}

/// Whether a layer that is being made may have this name, as [`next_name`] gives it.
fn is_own_name(name: &[u8]) -> bool {
    let Some(rest) = name.strip_prefix(PREFIX) else {
        return false;
    };
    let mut numbers = rest.splitn(2, |byte| *byte == b'-');
    let is_number = |part: Option<&[u8]>| {
        part.is_some_and(|text| !text.is_empty() && text.iter().all(u8::is_ascii_digit))
    };
    is_number(numbers.next()) && is_number(numbers.next())
}

/// Locks the directory that layers are in, until the answer is dropped. It is locked for a few system calls.
///
/// # Errors
/// `BUSY` after [`PATIENCE`].
pub(super) fn lock(parent: BorrowedFd<'_>, kind: Kind) -> Result<Hold, Errno> {
    holds::take_within(parent, kind, PATIENCE).map_err(|errno| match errno {
        Errno::WOULDBLOCK => Errno::BUSY,
        errno => errno,
    })
}

/// Opens the directory that `target` is in.
pub(super) fn open_parent(target: &Path) -> Result<OwnedFd, Errno> {
    let parent = target.parent().filter(|path| !path.as_os_str().is_empty());
    let flags = DIRECTORY & !OFlags::NOFOLLOW;
    openat(CWD, parent.unwrap_or(Path::new(".")), flags, Mode::empty())
}

/// A name that no layer has, and most likely no other process.
fn next_name() -> Vec<u8> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let number = format!("{}-{number}", process::id());
    [PREFIX, number.as_bytes()].concat()
}

fn make(parent: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    for _ in 0..TRIES {
        let name = next_name();
        match mkdirat(parent, &*name, Mode::RWXU) {
            Ok(()) => return Ok(name),
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno::EXIST)
}
