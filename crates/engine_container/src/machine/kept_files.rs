//! Files without a name, for what the agent keeps of the output of processes.
//!
//! They are made in the directory of the container's scratch, beside what the container itself can see: so they take
//! room where its other files do, and go by themselves when the agent has ended. Only the agent has them open, as the
//! service closes its own descriptors when it has sent them. No process of the container can reach them: they have no
//! name, and the descriptors of the agent are not to be had by `/proc`, as it has more capabilities than processes
//! have.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{AtFlags, Mode, OFlags, open, openat, unlinkat},
    io::Errno,
};

use crate::failure::{Attempt, StepError};

/// Name of a file for as long as it has one, where the file system makes none without.
const NAME: &str = "kept-output";

/// Makes `count` files in the scratch directory, which is that of the container's own or one that is `kept`.
///
/// # Errors
/// What the host refused.
pub(super) fn make(
    own: Option<&Path>,
    kept: Option<&OwnedFd>,
    count: usize,
) -> Result<Vec<OwnedFd>, StepError> {
    let opened;
    let directory = match (own, kept) {
        (Some(path), _) => {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            opened = open(path, flags, Mode::empty())
                .step_at("opening the scratch", path.display().to_string())?;
            opened.as_fd()
        }
        (None, Some(kept)) => kept.as_fd(),
        (None, None) => return Err(StepError::new("finding the scratch", Errno::NOENT)),
    };
    (0..count)
        .map(|_| make_one(directory).step("making a file for kept output"))
        .collect()
}

fn make_one(directory: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let mode = Mode::RUSR | Mode::WUSR;
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    match openat(directory, ".", flags | OFlags::TMPFILE, mode) {
        // An older overlayfs, among others.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => make_named(directory, flags, mode),
        made => made,
    }
}

/// A file that has a name for a moment; only the service can enter the directory.
fn make_named(directory: BorrowedFd<'_>, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
    let made = match openat(directory, NAME, flags, mode) {
        // A service was killed in between.
        Err(Errno::EXIST) => {
            unlinkat(directory, NAME, AtFlags::empty())?;
            openat(directory, NAME, flags, mode)?
        }
        made => made?,
    };
    unlinkat(directory, NAME, AtFlags::empty())?;
    Ok(made)
}

#[cfg(test)]
mod tests {
    use rustix::fs::fstat;

    use super::*;

    #[test]
    fn files_have_no_name_and_leave_nothing() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(NAME), "left over").unwrap();
        let directory = std::fs::File::open(folder.path()).unwrap();
        let mut files = make(Some(folder.path()), None, 2).unwrap();
        files.extend(make(None, Some(&directory.try_clone().unwrap().into()), 1).unwrap());
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        files.push(make_named(directory.as_fd(), flags, Mode::RUSR | Mode::WUSR).unwrap());
        for file in &files {
            let found = fstat(file).unwrap();
            assert_eq!((found.st_nlink, found.st_size), (0, 0));
            assert_eq!(found.st_mode & 0o777, 0o600);
            rustix::io::pwrite(file, b"x", 0).unwrap();
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(make(None, None, 1).is_err());
    }
}
