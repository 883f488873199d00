//! The folders of a store, opened once and without following a link.
//!
//! A container may have the store mapped and write there, so what has the name of a folder now may lead anywhere. All
//! that is made, read and removed is below a descriptor of its folder, by a path in `/proc/self/fd`.

use std::{
    fs::File,
    io::{self, Read as _},
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::{Path, PathBuf},
    sync::OnceLock,
};

use rustix::{
    fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, mkdirat, openat2},
    io::Errno,
};

use crate::{StorageError, beneath};

/// A folder of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Folder {
    Oci,
    Contents,
    Layers,
    Incoming,
    Leases,
    Unfinished,
}

impl Folder {
    /// Where it is in the store.
    pub(super) const fn place(self) -> &'static str {
        match self {
            Self::Oci => "oci",
            Self::Contents => "oci/blobs/sha256",
            Self::Layers => "layers",
            Self::Incoming => "incoming",
            Self::Leases => "leases",
            Self::Unfinished => "unfinished",
        }
    }
}

/// Where nothing is and nothing can be made: the path of a folder that is not there.
const NOWHERE: &str = "/proc/self/fdinfo/none";

/// The folders of one store.
#[derive(Debug)]
pub(super) struct Folders {
    root: OwnedFd,
    /// The path of the store, for failures.
    shown: PathBuf,
    opened: [OnceLock<OwnedFd>; 6],
}

impl Folders {
    /// Those of the store that is open as `root`, at the path `shown`.
    pub(super) fn new(root: OwnedFd, shown: &Path) -> Self {
        Self {
            root,
            shown: shown.to_owned(),
            opened: Default::default(),
        }
    }

    /// A path of the store itself, for as long as this lives.
    pub(super) fn root(&self) -> PathBuf {
        path_of(&self.root)
    }

    /// A path of `folder`, for as long as this lives; one at which nothing is where there is no such folder.
    ///
    /// # Errors
    /// It is a link or no directory, or cannot be opened.
    pub(super) fn path(&self, folder: Folder) -> Result<PathBuf, StorageError> {
        match self.open(folder) {
            Ok(path) => Ok(path),
            Err(Errno::NOENT) => Ok(NOWHERE.into()),
            Err(errno) => Err(self.failed("opening the directory", folder, errno)),
        }
    }

    /// The same of a folder that is made where it is not there.
    ///
    /// # Errors
    /// As [`Folders::path`], or it cannot be made.
    pub(super) fn made(&self, folder: Folder) -> Result<PathBuf, StorageError> {
        match self.open(folder) {
            Err(Errno::NOENT) => {}
            opened => {
                return opened.map_err(|errno| self.failed("opening the directory", folder, errno));
            }
        }
        let made = self.make(folder).and_then(|()| self.open(folder));
        made.map_err(|errno| self.failed("making the directory", folder, errno))
    }

    fn make(&self, folder: Folder) -> Result<(), Errno> {
        let place = folder.place();
        let ends = place.match_indices('/').map(|(at, _)| at);
        for end in ends.chain([place.len()]) {
            let name = place.get(..end).unwrap_or(place);
            let (parent, last) = name.rsplit_once('/').unwrap_or((".", name));
            let parent = self.opened_below(parent)?;
            match mkdirat(&parent, last, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    fn open(&self, folder: Folder) -> Result<PathBuf, Errno> {
        let [oci, contents, layers, incoming, leases, unfinished] = &self.opened;
        let slot = match folder {
            Folder::Oci => oci,
            Folder::Contents => contents,
            Folder::Layers => layers,
            Folder::Incoming => incoming,
            Folder::Leases => leases,
            Folder::Unfinished => unfinished,
        };
        if let Some(opened) = slot.get() {
            return Ok(path_of(opened));
        }
        let opened = self.opened_below(folder.place())?;
        Ok(path_of(slot.get_or_init(|| opened)))
    }

    fn opened_below(&self, place: &str) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        beneath::open(&self.root, place, flags, ResolveFlags::NO_SYMLINKS)
    }

    fn failed(&self, action: &'static str, folder: Folder, errno: Errno) -> StorageError {
        let path = self.shown.join(folder.place());
        StorageError::step(action, path.as_os_str().as_bytes(), errno)
    }
}

fn path_of(descriptor: &OwnedFd) -> PathBuf {
    format!("/proc/self/fd/{}", descriptor.as_raw_fd()).into()
}

/// Opens a regular file for reading. What another program put in its place is neither followed nor waited for.
///
/// # Errors
/// It is not there, or no regular file.
pub(super) fn open_file(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let opened = openat2(CWD, path, flags, Mode::empty(), ResolveFlags::empty())?;
    match FileType::from_raw_mode(fstat(&opened)?.st_mode) {
        FileType::RegularFile => Ok(opened.into()),
        FileType::Directory => Err(Errno::ISDIR.into()),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it is no regular file",
        )),
    }
}

/// Reads such a file.
///
/// # Errors
/// As [`open_file`], or it cannot be read.
pub(super) fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    open_file(path)?.read_to_end(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::symlink,
        time::{Duration, Instant},
    };

    use super::*;

    fn folders(root: &Path) -> Folders {
        Folders::new(File::open(root).unwrap().into(), root)
    }

    #[test]
    fn a_folder_is_the_one_that_was_opened_and_a_link_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let opened = folders(place.path());
        assert_eq!(
            opened.path(Folder::Leases).unwrap(),
            Path::new(NOWHERE),
            "nothing is made"
        );
        let contents = opened.made(Folder::Contents).unwrap();
        fs::rename(place.path().join("oci"), place.path().join("aside")).unwrap();
        symlink(elsewhere.path(), place.path().join("oci")).unwrap();
        symlink(elsewhere.path(), place.path().join("layers")).unwrap();
        fs::write(contents.join("x"), "x").unwrap();
        assert!(place.path().join("aside/blobs/sha256/x").exists());
        for folder in [Folder::Layers, Folder::Oci] {
            let refused = opened.made(folder).unwrap_err().to_string();
            assert!(refused.contains(folder.place()), "{refused}");
        }
        assert!(folders(place.path()).made(Folder::Contents).is_err());
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_is_none_is_neither_followed_nor_waited_for() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        rustix::fs::mkfifoat(CWD, path("fifo"), Mode::RWXU).unwrap();
        fs::write(path("file"), "text").unwrap();
        symlink("file", path("link")).unwrap();
        fs::create_dir(path("directory")).unwrap();
        let begun = Instant::now();
        for name in ["fifo", "link", "directory", "none"] {
            assert!(read_file(&path(name)).is_err(), "{name}");
        }
        assert!(begun.elapsed() < Duration::from_secs(60));
        assert_eq!(read_file(&path("file")).unwrap(), b"text");
    }
}
