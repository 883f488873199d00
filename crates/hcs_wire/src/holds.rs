//! Locks of files and directories of the host that other users, or containers, may open.
//!
//! A process that may open a directory may lock it (`flock(2)`), and keep the lock for as long as it likes. So a
//! directory of root is locked by a file that stands for it. The file is in a directory that only root may enter, and
//! that no container sees, as it lies in that of [`places`](crate::places). It is named after the device and the number
//! of the directory, so all paths that lead there come to one lock.
//!
//! A directory of another user is locked itself: that user says who may open it, and programs of root and of the user
//! exclude each other. Root does the same where it may not write to the place of those files.
//!
//! A lock lasts as long as a process has it, however that ends. The file of a lock goes with it. One that a killed
//! process left means nothing, serves the next lock of that directory, and takes no room on any disk.
//!
//! Processes of root in mount namespaces with different `/run` do not see each other's locks.
//!
//! A file is locked itself ([`lock_file`], [`lock_disk`]), by locks of which the exclusive one takes a descriptor for
//! writing. One for reading takes a shared lock: it keeps no reader waiting, but what wants the file alone. A lock of a
//! disk image has to last as long as the file is open in QEMU or in a loop device, as no other lock does.

use std::{
    os::fd::{BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::{
    fs::{AtFlags, FlockOperation, Mode, OFlags, Stat, flock, fstat, openat, statat, unlinkat},
    io::Errno,
};

use crate::{
    environment::is_root,
    sys::record_lock::{self, Part},
    trust::{Reason, Trusted},
};

/// The directory of the files that stand for others.
const PLACE: &str = "/run/hcs-places/.locks";
const LOOK: Duration = Duration::from_millis(2);

pub use crate::sys::record_lock::Kind;

/// A lock, given up when this is dropped.
#[derive(Debug)]
pub struct Hold {
    locked: OwnedFd,
    /// The file that stands for the directory: where it is, and its name.
    stand_in: Option<(OwnedFd, String)>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some((place, name)) = &self.stand_in {
            remove(place, name, &self.locked);
        }
        // A child between clone and exec has a copy of the descriptor, and a lock ends with the last one. The open file
        // is this hold's alone, so no other one loses its lock. The kernel does not refuse this.
        let _ended = flock(&self.locked, FlockOperation::Unlock);
    }
}

/// Locks a directory, at once or not at all.
///
/// # Errors
/// `WOULDBLOCK` when another process has a lock that excludes this; else the refusal of the kernel.
pub fn take(directory: BorrowedFd<'_>, kind: Kind) -> Result<Hold, Errno> {
    let found = fstat(directory)?;
    let place = match found.st_uid == 0 && is_root() {
        true => place()?,
        false => None,
    };
    match place {
        Some(place) => stand_in(place, name(&found), kind),
        None => itself(directory, kind),
    }
}

/// [`take`] as soon as it can be, within `patience`.
///
/// # Errors
/// As for [`take`].
pub fn take_within(
    directory: BorrowedFd<'_>,
    kind: Kind,
    patience: Duration,
) -> Result<Hold, Errno> {
    let end = Instant::now() + patience;
    loop {
        match take(directory, kind) {
            Err(Errno::WOULDBLOCK) if Instant::now() < end => sleep(LOOK),
            answer => return answer,
        }
    }
}

/// Locks a directory in both ways: its owner may be another user by the time the lock is given up. Only for what may be
/// left as it is where another process holds a lock of the directory itself.
///
/// # Errors
/// As for [`take`].
pub fn take_both(directory: BorrowedFd<'_>, kind: Kind) -> Result<(Option<Hold>, Hold), Errno> {
    let place = match is_root() {
        true => place()?,
        false => None,
    };
    let name = name(&fstat(directory)?);
    let first = place.map(|place| stand_in(place, name, kind)).transpose()?;
    Ok((first, itself(directory, kind)?))
}

/// Locks a directory that this process has just made, alone, in both ways. Another process may have opened it since and
/// hold a lock of the directory itself: where the first lock can be had, that one is gone without.
///
/// # Errors
/// As for [`take`].
pub fn take_made(directory: BorrowedFd<'_>) -> Result<(Option<Hold>, Option<Hold>), Errno> {
    let place = match is_root() {
        true => place()?,
        false => None,
    };
    let Some(place) = place else {
        return Ok((None, Some(itself(directory, Kind::Alone)?)));
    };
    let first = stand_in(place, name(&fstat(directory)?), Kind::Alone)?;
    match itself(directory, Kind::Alone) {
        Ok(second) => Ok((Some(first), Some(second))),
        Err(Errno::WOULDBLOCK) => Ok((Some(first), None)),
        Err(errno) => Err(errno),
    }
}

/// Locks all of a file for as long as it is open, at once or not at all.
///
/// # Errors
/// As for [`take`]; `BADF` when the descriptor is not open for that.
pub fn lock_file(file: BorrowedFd<'_>, kind: Kind) -> Result<(), Errno> {
    record_lock::try_lock(file, kind, Part::All)
}

/// [`lock_file`] for the image of a disk, of which QEMU and its tools lock parts as well.
///
/// # Errors
/// As for [`lock_file`].
pub fn lock_disk(file: BorrowedFd<'_>, kind: Kind) -> Result<(), Errno> {
    record_lock::try_lock(file, kind, Part::Mark)
}

/// The file by which root locks a directory, to find out which process has it.
///
/// # Errors
/// The directory cannot be looked at.
pub fn path(directory: BorrowedFd<'_>) -> Result<PathBuf, Errno> {
    Ok(Path::new(PLACE).join(name(&fstat(directory)?)))
}

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);
const FILE: OFlags = OFlags::RDWR.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

fn name(directory: &Stat) -> String {
    format!("{:x}-{:x}", directory.st_dev, directory.st_ino)
}

/// The directory of the files; `None` where this process cannot make them.
fn place() -> Result<Option<OwnedFd>, Errno> {
    match Trusted::of_process().directory(Path::new(PLACE), Some(0o700)) {
        Ok(place) => Ok(Some(place)),
        Err(untrusted) => match untrusted.reason {
            Reason::Io(Errno::ROFS | Errno::ACCESS | Errno::PERM) => Ok(None),
            Reason::Io(errno) => Err(errno),
            _ => Err(Errno::PERM),
        },
    }
}

fn itself(directory: BorrowedFd<'_>, kind: Kind) -> Result<Hold, Errno> {
    // A lock belongs to an open file, and the caller's is its own.
    let locked = openat(directory, ".", DIRECTORY, Mode::empty())?;
    lock(&locked, kind)?;
    Ok(Hold {
        locked,
        stand_in: None,
    })
}

fn stand_in(place: OwnedFd, name: String, kind: Kind) -> Result<Hold, Errno> {
    loop {
        let mode = Mode::RUSR | Mode::WUSR;
        let locked = openat(&place, &*name, FILE | OFlags::CREATE, mode)?;
        lock(&locked, kind)?;
        // A process that had it may have removed it since it was opened.
        if is_at(&place, &name, &locked) {
            let stand_in = Some((place, name));
            return Ok(Hold { locked, stand_in });
        }
    }
}

const fn operation(kind: Kind) -> FlockOperation {
    match kind {
        Kind::Shared => FlockOperation::NonBlockingLockShared,
        Kind::Alone => FlockOperation::NonBlockingLockExclusive,
    }
}

fn lock(file: &OwnedFd, kind: Kind) -> Result<(), Errno> {
    loop {
        match flock(file, operation(kind)) {
            Err(Errno::INTR) => {}
            answer => return answer,
        }
    }
}

/// Removes the file of a lock, if no other process has it.
fn remove(place: &OwnedFd, name: &str, file: &OwnedFd) {
    if lock(file, Kind::Alone).is_ok() && is_at(place, name, file) {
        // One that stays means nothing, and serves the next lock.
        let _stays = unlinkat(place, name, AtFlags::empty());
    }
}

fn is_at(place: &OwnedFd, name: &str, file: &OwnedFd) -> bool {
    let identity = |found: Stat| (found.st_dev, found.st_ino);
    let there = statat(place, name, AtFlags::SYMLINK_NOFOLLOW).map(identity);
    there.is_ok_and(|there| fstat(file).map(identity) == Ok(there))
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, File},
        os::{fd::AsFd as _, unix::fs::MetadataExt as _},
        sync::atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    fn taken(directory: &File, kind: Kind) -> Result<Hold, Errno> {
        take(directory.as_fd(), kind)
    }

    /// A child of another test, between clone and exec, may have a copy of a descriptor that was closed here.
    fn lock_in_time(file: &File, kind: Kind) {
        let end = Instant::now() + Duration::from_secs(60);
        while let Err(errno) = lock_disk(file.as_fd(), kind) {
            assert!(
                errno == Errno::WOULDBLOCK && Instant::now() < end,
                "{errno}"
            );
            sleep(LOOK);
        }
    }

    #[test]
    fn a_lock_of_a_directory_ends_with_its_hold_and_not_with_copies_of_the_descriptor() {
        let place = tempfile::tempdir().unwrap();
        let file = File::open(place.path()).unwrap();
        for kind in [Kind::Alone, Kind::Shared] {
            let held = itself(file.as_fd(), kind).unwrap();
            let _copy = held.locked.try_clone().unwrap();
            drop(held);
            drop(itself(file.as_fd(), Kind::Alone).unwrap());
        }
    }

    #[test]
    fn a_directory_is_locked_by_one_or_shared_by_many() {
        let place = tempfile::tempdir().unwrap();
        let [one, other] = [(); 2].map(|()| File::open(place.path()).unwrap());
        let first = taken(&one, Kind::Alone).unwrap();
        for kind in [Kind::Alone, Kind::Shared] {
            assert_eq!(taken(&other, kind).unwrap_err(), Errno::WOULDBLOCK);
        }
        drop(first);
        let shared = [&one, &other].map(|file| taken(file, Kind::Shared).unwrap());
        assert_eq!(taken(&one, Kind::Alone).unwrap_err(), Errno::WOULDBLOCK);
        let [first, last] = shared;
        drop(first);
        assert_eq!(taken(&one, Kind::Alone).unwrap_err(), Errno::WOULDBLOCK);
        drop(last);
        drop(taken(&one, Kind::Alone).unwrap());
        if is_root() {
            let file = path(one.as_fd()).unwrap();
            assert!(!file.exists(), "{}", file.display());
        }
    }

    /// As a user may who could open the directory once, and a container that sees it read-only.
    #[test]
    fn a_lock_of_a_directory_of_root_keeps_no_process_waiting() {
        if !is_root() {
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let seen = File::open(place.path()).unwrap();
        flock(&seen, FlockOperation::LockExclusive).unwrap();
        let held = taken(&seen, Kind::Alone).unwrap();
        let file = fs::metadata(path(seen.as_fd()).unwrap()).unwrap();
        let above = fs::metadata(PLACE).unwrap();
        assert_eq!((file.mode() & 0o777, above.mode() & 0o777), (0o600, 0o700));
        drop(held);
        // That of another user is that user's to lock.
        std::os::unix::fs::chown(place.path(), Some(4242), None).unwrap();
        assert_eq!(taken(&seen, Kind::Alone).unwrap_err(), Errno::WOULDBLOCK);
        flock(&seen, FlockOperation::Unlock).unwrap();
        taken(&seen, Kind::Alone).unwrap();
    }

    /// As by a container that has it mapped.
    #[test]
    fn a_lock_of_a_directory_that_was_just_made_is_no_reason_to_fail() {
        if !is_root() {
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let [own, seen] = [(); 2].map(|()| File::open(place.path()).unwrap());
        flock(&seen, FlockOperation::LockExclusive).unwrap();
        let held = take_made(own.as_fd()).unwrap();
        assert!(held.0.is_some() && held.1.is_none());
        drop(seen);
        let free = || take_both(own.as_fd(), Kind::Alone);
        assert_eq!(free().unwrap_err(), Errno::WOULDBLOCK);
        drop(held);
        drop(free().unwrap());
        let held = take_made(own.as_fd()).unwrap();
        assert!(held.0.is_some() && held.1.is_some());
    }

    #[test]
    fn a_disk_is_locked_alone_by_what_may_write_to_it() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("disk");
        let ours = File::create_new(&path).unwrap();
        let mapped = File::open(&path).unwrap();
        flock(&mapped, FlockOperation::LockExclusive).unwrap();
        assert_eq!(lock_disk(mapped.as_fd(), Kind::Alone), Err(Errno::BADF));
        lock_disk(mapped.as_fd(), Kind::Shared).unwrap();
        let refused = lock_disk(ours.as_fd(), Kind::Alone);
        assert_eq!(refused, Err(Errno::WOULDBLOCK));
        drop(mapped);
        let copy = ours.try_clone().unwrap();
        lock_in_time(&ours, Kind::Alone);
        drop(ours);
        let other = File::open(&path).unwrap();
        let locked = lock_disk(other.as_fd(), Kind::Shared);
        assert_eq!(locked, Err(Errno::WOULDBLOCK), "the copy has it");
        drop(copy);
        lock_in_time(&other, Kind::Shared);
    }

    #[test]
    fn no_two_have_a_lock_whose_file_comes_and_goes() {
        let place = tempfile::tempdir().unwrap();
        let inside = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let own = File::open(place.path()).unwrap();
                    for _ in 0..500 {
                        let held = loop {
                            match taken(&own, Kind::Alone) {
                                Err(Errno::WOULDBLOCK) => std::thread::yield_now(),
                                held => break held.unwrap(),
                            }
                        };
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(held);
                    }
                });
            }
        });
    }
}
