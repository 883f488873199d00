//! Removal of a tree, whatever permissions its directories have.

use std::{
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{AtFlags, CWD, Dir, Mode, OFlags, chmodat, openat, unlinkat},
    io::Errno,
};

use crate::StorageError;

/// Removes the layer at `path`, or whatever tree is there. No link is followed, and nothing at `path` is no failure.
///
/// # Errors
/// Something cannot be removed.
pub fn remove(path: &Path) -> Result<(), StorageError> {
    let bytes = path.as_os_str().as_encoded_bytes();
    match remove_at(CWD, bytes) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(StorageError::step("removing", bytes, errno)),
    }
}

/// Removes `name` in `parent` with all in it. The tree has to belong to this process alone.
pub(super) fn remove_at(parent: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    match unlinkat(parent, name, AtFlags::empty()) {
        // Some file systems answer PERM for a directory, as POSIX says.
        Err(Errno::ISDIR | Errno::PERM) => {}
        done => return done,
    }
    let directory = open(parent, name)?;
    for entry in Dir::read_from(&directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            remove_at(directory.as_fd(), name)?;
        }
    }
    drop(directory);
    unlinkat(parent, name, AtFlags::REMOVEDIR)
}

/// Opens a directory so that its files can be removed: an ordinary user may have to be let in first.
fn open(parent: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    if !rustix::process::geteuid().is_root() {
        // It is the user's own: `unlinkat` said that it is no link, and only this user can change the tree.
        chmodat(parent, name, Mode::RWXU, AtFlags::empty())?;
    }
    openat(parent, name, flags, Mode::empty())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn a_tree_goes_and_what_its_links_lead_to_stays() {
        let directory = tempfile::tempdir().unwrap();
        let kept = directory.path().join("kept");
        fs::create_dir_all(kept.join("a")).unwrap();
        let tree = directory.path().join("tree");
        fs::create_dir_all(tree.join("x/y/z")).unwrap();
        fs::write(tree.join("x/file"), "").unwrap();
        symlink(&kept, tree.join("x/link")).unwrap();
        remove(&tree).unwrap();
        remove(&tree).unwrap();
        assert!(!tree.exists() && kept.join("a").exists());
    }
}
