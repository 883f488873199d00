//! Removal of a tree, whatever permissions its directories have, and however deep it is.
//!
//! A container may have made what is in it, so nothing is assumed: no symbolic link is followed, and no mount is
//! entered. A tree of any depth takes no more than [`DEPTH`] descriptors: directories deeper than that are first moved
//! to the top.

use std::{
    ffi::CStr,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, chmodat, fchmod, openat, renameat, unlinkat},
    io::Errno,
};

use crate::StorageError;

/// How deep removal goes down in one sweep.
const DEPTH: usize = 32;

/// Removes the layer at `path`, or whatever tree is there. No link is followed, and nothing at `path` is no failure.
///
/// # Errors
/// Something cannot be removed.
pub fn remove(path: &Path) -> Result<(), StorageError> {
    let failed = |errno| StorageError::step("removing", path.as_os_str().as_encoded_bytes(), errno);
    remove_tree(path).map_err(failed)
}

/// As [`remove`], for callers with failures of their own.
///
/// # Errors
/// Something cannot be removed.
pub fn remove_tree(path: &Path) -> Result<(), Errno> {
    match remove_at(CWD, path.as_os_str().as_encoded_bytes()) {
        Err(Errno::NOENT) => Ok(()),
        done => done,
    }
}

/// Removes `name` in `parent` with all in it. The tree has to belong to this process alone.
pub(super) fn remove_at(parent: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    match unlinkat(parent, name, AtFlags::empty()) {
        // Some file systems answer PERM for a directory, as POSIX says.
        Err(Errno::ISDIR | Errno::PERM) => {}
        done => return done,
    }
    let top = open_closed(parent, name)?;
    empty(top.as_fd())?;
    drop(top);
    unlinkat(parent, name, AtFlags::REMOVEDIR)
}

/// Removes all that is in `top`, which is open, whatever its name is by now. The tree has to belong to this process
/// alone.
pub(super) fn empty(top: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut removal = Removal { top, moved: 0 };
    // What was moved to the top in one round is removed in the next.
    while removal.empty(top, 0)? {}
    Ok(())
}

/// One removal under way.
struct Removal<'a> {
    top: BorrowedFd<'a>,
    /// How many directories were moved, for their names.
    moved: u64,
}

impl Removal<'_> {
    /// Removes all entries of `directory`; `true` when it had some.
    fn empty(&mut self, directory: BorrowedFd<'_>, depth: usize) -> Result<bool, Errno> {
        let mut found = false;
        let entries = match Dir::read_from(directory) {
            // To be opened it needs the right to read, and here the right to search as well.
            Err(Errno::ACCESS) => {
                fchmod(directory, Mode::RWXU)?;
                Dir::read_from(directory)?
            }
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            found = true;
            while !remove_writable(directory, name, entry.file_type())? {
                if depth == DEPTH {
                    self.move_to_top(directory, name)?;
                    break;
                }
                let inner = open_closed(directory, name.to_bytes())?;
                self.empty(inner.as_fd(), depth + 1)?;
            }
        }
        Ok(found)
    }

    fn move_to_top(&mut self, directory: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
        loop {
            let free = format!(".hcs-removed-{}", self.moved);
            self.moved += 1;
            match renameat(directory, name, self.top, free.as_str()) {
                // A container may have guessed the name: take the next.
                Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => {}
                answer => return answer,
            }
        }
    }
}

/// Like [`remove_entry`], for the owner of `directory` also where there is no right to write in it.
fn remove_writable(directory: BorrowedFd<'_>, name: &CStr, kind: FileType) -> Result<bool, Errno> {
    match remove_entry(directory, name, kind) {
        Err(Errno::ACCESS) if fchmod(directory, Mode::RWXU).is_ok() => {
            remove_entry(directory, name, kind)
        }
        answer => answer,
    }
}

/// Removes one entry; `false` when it is a directory that is not empty.
fn remove_entry(directory: BorrowedFd<'_>, name: &CStr, kind: FileType) -> Result<bool, Errno> {
    let flags = if kind.is_dir() {
        AtFlags::REMOVEDIR
    } else {
        AtFlags::empty()
    };
    match unlinkat(directory, name, flags) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        // Some file systems do not tell the kind of an entry.
        Err(Errno::ISDIR) => remove_entry(directory, name, FileType::Directory),
        Err(errno) => Err(errno),
    }
}

/// Opens a directory, for its owner also where it has no rights to it; an overlay's work directory is like that.
fn open_closed(directory: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = || openat(directory, name, flags, Mode::empty());
    match opened() {
        // No process is left that could put a link in its place.
        Err(Errno::ACCESS) => {
            chmodat(directory, name, Mode::RWXU, AtFlags::empty()).and_then(|()| opened())
        }
        answer => answer,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{PermissionsExt as _, symlink},
    };

    use rustix::fs::mkdirat;

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
        for closed in ["x/y/z", "x/y", "x"] {
            fs::set_permissions(tree.join(closed), fs::Permissions::from_mode(0o500)).unwrap();
        }
        remove(&tree).unwrap();
        remove(&tree).unwrap();
        assert!(!tree.exists() && kept.join("a").exists());
    }

    /// Deeper than descriptors of a process, the longest path, and the stack of a thread would go.
    #[test]
    fn a_tree_of_any_depth_goes() {
        let place = tempfile::tempdir().unwrap();
        let tree = place.path().join("tree");
        fs::create_dir(&tree).unwrap();
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let mut at = openat(CWD, &tree, flags, Mode::empty()).unwrap();
        for _ in 0..1500 {
            mkdirat(&at, "directory", Mode::RWXU).unwrap();
            at = openat(&at, "directory", flags, Mode::empty()).unwrap();
        }
        remove(&tree).unwrap();
        assert!(!tree.exists());
    }
}
