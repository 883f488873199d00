//! Files that exist to be locked, and that a container may see: it may have a tree with them mapped, for reading alone.
//!
//! A lock of `flock(2)` takes no right to write, so such a container could keep every other process waiting. The locks
//! here are those of [`holds::lock_file`]: a descriptor for reading keeps no reader waiting. It can hold up what has to
//! be alone, so that is waited for with a limit, and the refusal names the process.

use std::{
    fs::{self, File},
    os::{fd::AsFd, unix::fs::MetadataExt as _},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use hcs_wire::holds::{self, Kind};
use rustix::{
    fs::{Mode, OFlags, openat},
    io::{Errno, retry_on_intr},
    path::Arg,
};

use crate::{Refusal, error::shown};

/// What is done alone takes as long as writing a file. What has such a lock for so long was stopped, or means to.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(2);
/// Processes that a refusal names.
const NAMED: usize = 3;

/// Opens the file at `path` in `directory`, or makes it, to be locked.
pub(crate) fn open(directory: impl AsFd, path: impl Arg + Copy) -> Result<File, Errno> {
    let flags =
        OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let mode = Mode::RUSR | Mode::WUSR;
    retry_on_intr(|| openat(&directory, path, flags, mode)).map(File::from)
}

/// Locks `file`, or answers that it did not.
pub(crate) fn try_lock(file: &File, kind: Kind) -> Result<bool, Errno> {
    match holds::lock_file(file.as_fd(), kind) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Locks `file` as soon as it can be, within `patience` or, without one, whenever that is.
///
/// # Errors
/// The kernel refused. The answer `false` is not had in time.
pub(crate) fn lock(file: &File, kind: Kind, patience: Option<Duration>) -> Result<bool, Errno> {
    let begun = Instant::now();
    loop {
        match try_lock(file, kind)? {
            true => return Ok(true),
            false if patience.is_some_and(|patience| begun.elapsed() >= patience) => {
                return Ok(false);
            }
            false => thread::sleep(LOOK),
        }
    }
}

/// The refusal of a lock of the file at `path`: it names the processes that have one.
pub(crate) fn refusal(path: &Path) -> Refusal {
    let mut found = holders(path);
    let others = found.len() > NAMED;
    found.truncate(NAMED);
    let mut holders = match found.is_empty() {
        true => "one that is gone by now, or that this one may not look at".to_owned(),
        false => found.join(", "),
    };
    if others {
        holders.push_str(" and others");
    }
    Refusal::InUse { holders }
}

/// The processes that have a lock of the file at `path`, as texts. Of what they have open it looks at names alone, as
/// looking at a file could wait for its file system.
fn holders(path: &Path) -> Vec<String> {
    let Ok(inode) = fs::symlink_metadata(path).map(|found| found.ino()) else {
        return Vec::new();
    };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut found: Vec<String> = Vec::new();
    for process in processes.filter(|entry| is_number(&entry.file_name())) {
        let process = process.path();
        let descriptors = fs::read_dir(process.join("fdinfo")).into_iter().flatten();
        let has = descriptors.flatten().any(|descriptor| {
            let name = descriptor.file_name();
            let is_same = || {
                let link = fs::read_link(process.join("fd").join(name));
                link.is_ok_and(|link| link.file_name() == path.file_name())
            };
            let text = fs::read_to_string(descriptor.path());
            text.is_ok_and(|text| is_locked(&text, inode)) && is_same()
        });
        if has {
            let program = fs::read(process.join("comm")).unwrap_or_default();
            let number = process.file_name().unwrap_or_default();
            let program = shown(program.trim_ascii_end());
            found.push(format!("process {} ({program})", number.display()));
        }
    }
    found
}

fn is_number(name: &std::ffi::OsStr) -> bool {
    name.as_encoded_bytes().iter().all(u8::is_ascii_digit)
}

/// Whether the open file of which `/proc` says `fdinfo` has a lock of the file with that number.
fn is_locked(fdinfo: &str, inode: u64) -> bool {
    let locks = fdinfo.lines().filter(|line| line.starts_with("lock:"));
    let mut words = locks.flat_map(str::split_ascii_whitespace);
    // As DEVICE:DEVICE:NUMBER. The device is not that of stat(2) on each file system.
    words.any(|word| {
        let mut parts = word.splitn(3, ':').skip(2);
        parts.next().and_then(|number| number.parse().ok()) == Some(inode)
    })
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, FlockOperation, flock};

    use super::*;

    #[test]
    fn a_descriptor_for_reading_keeps_no_reader_waiting() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("lock");
        let ours = open(CWD, &path).unwrap();
        let mapped = File::open(&path).unwrap();
        flock(&mapped, FlockOperation::LockExclusive).unwrap();
        let refused = holds::lock_file(mapped.as_fd(), Kind::Alone);
        assert_eq!(refused, Err(Errno::BADF));
        assert_eq!(try_lock(&ours, Kind::Alone), Ok(true));
        drop(ours);
        assert_eq!(try_lock(&mapped, Kind::Shared), Ok(true));
        let ours = open(CWD, &path).unwrap();
        assert_eq!(lock(&ours, Kind::Shared, None), Ok(true));
    }

    #[test]
    fn what_has_a_lock_is_named() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("lock");
        let ours = open(CWD, &path).unwrap();
        let mapped = File::open(&path).unwrap();
        assert_eq!(holders(&path), Vec::<String>::new());
        assert_eq!(try_lock(&mapped, Kind::Shared), Ok(true));
        assert_eq!(lock(&ours, Kind::Alone, Some(Duration::ZERO)), Ok(false));
        let Refusal::InUse { holders } = refusal(&path) else {
            panic!("another refusal");
        };
        let this = format!("process {} (", std::process::id());
        assert!(holders.starts_with(&this), "{holders}");
    }

    #[test]
    fn a_lock_is_read_of_what_the_kernel_says() {
        let text = "pos:\t0\nflags:\t0100000\nmnt_id:\t5\nino:\t77\n\
                    lock:\t1: OFDLCK  ADVISORY  READ -1 fe:00:123 0 EOF\n";
        assert!(is_locked(text, 123));
        assert!(!is_locked(text, 77));
        assert!(!is_locked(text, 12));
    }
}
