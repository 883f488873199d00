//! The folders of a store, opened once and without following a link.
//!
//! A container may have the store mapped and write there, so what has the name of a folder now may lead anywhere. All
//! that is made, read and removed is below a descriptor of its folder, by a path in `/proc/self/fd`.

use std::{
    fs::File,
    io::{self, Read as _},
    os::{
        fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::{Path, PathBuf},
    sync::OnceLock,
};

use rustix::{
    fs::{
        AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, ResolveFlags, fstat, mkdirat, openat,
        openat2, renameat_with, statat, unlinkat,
    },
    io::{Errno, retry_on_intr},
    process::geteuid,
};

use super::document::LARGEST;
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

/// Bytes beyond a file with which its end is read without asking for more room.
const SPARE: usize = 64;

/// Bytes of a small file, at most.
const SMALL: usize = 4096;

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

    /// The store itself.
    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
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

    /// Opens the regular file `name` of `folder` for reading, with its size. As by [`open_file`], what another program
    /// put in its place is neither followed nor waited for.
    ///
    /// # Errors
    /// It is not there, or no regular file.
    pub(super) fn open_file(&self, folder: Folder, name: &str) -> io::Result<(File, u64)> {
        let resolve = ResolveFlags::NO_SYMLINKS;
        regular(match self.slot(folder).get() {
            Some(opened) => beneath::open(opened, name, READING, resolve)?,
            // One call in place of two. No link is on this way either.
            None => {
                let path = format!("{}/{name}", folder.place());
                beneath::open(&self.root, &*path, READING, resolve)?
            }
        })
    }

    /// Makes the file `name` in `folder`, to be written, for this user alone.
    ///
    /// # Errors
    /// It is there, or cannot be made.
    pub(super) fn make_file(&self, folder: Folder, name: &str) -> Result<File, Errno> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let folder = self.opened(folder)?;
        retry_on_intr(|| openat(folder, name, flags, mode)).map(File::from)
    }

    /// Gives the small file `from` of `folder` the name `name`, and opens it to be written over, with its size. None
    /// where it is not there. Another program may have put anything in its place: what is no file is left there, and a
    /// file that is not small, not this user's alone, or has a further name, is removed.
    pub(super) fn take_file(
        &self,
        folder: Folder,
        from: &str,
        name: &str,
    ) -> Option<(File, usize)> {
        let folder = self.opened(folder).ok()?;
        let found = statat(folder, from, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
            return None;
        }
        renameat_with(folder, from, folder, name, RenameFlags::NOREPLACE).ok()?;
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let opened = beneath::open(folder, name, flags, ResolveFlags::NO_SYMLINKS);
        let own = opened.and_then(|opened| {
            let found = fstat(&opened)?;
            let is_file = FileType::from_raw_mode(found.st_mode) == FileType::RegularFile;
            let is_private = found.st_mode & 0o077 == 0 && found.st_uid == geteuid().as_raw();
            let size = usize::try_from(found.st_size).ok();
            let size = size.filter(|size| *size <= SMALL && found.st_nlink == 1);
            let size = size.filter(|_| is_file && is_private);
            size.map(|size| (File::from(opened), size))
                .ok_or(Errno::INVAL)
        });
        if own.is_err() {
            // What cannot be removed is in the way of what is made then, which says so.
            let _gone = unlinkat(folder, name, AtFlags::empty());
        }
        own.ok()
    }

    /// Whether `folder` has something called `name`.
    pub(super) fn has(&self, folder: Folder, name: &str) -> bool {
        let found = self
            .opened(folder)
            .and_then(|folder| statat(folder, name, AtFlags::empty()));
        found.is_ok()
    }

    fn open(&self, folder: Folder) -> Result<PathBuf, Errno> {
        self.opened(folder).map(path_of)
    }

    fn slot(&self, folder: Folder) -> &OnceLock<OwnedFd> {
        let [oci, contents, layers, incoming, leases, unfinished] = &self.opened;
        match folder {
            Folder::Oci => oci,
            Folder::Contents => contents,
            Folder::Layers => layers,
            Folder::Incoming => incoming,
            Folder::Leases => leases,
            Folder::Unfinished => unfinished,
        }
    }

    fn opened(&self, folder: Folder) -> Result<&OwnedFd, Errno> {
        let slot = self.slot(folder);
        if let Some(opened) = slot.get() {
            return Ok(opened);
        }
        let opened = self.opened_below(folder.place())?;
        Ok(slot.get_or_init(|| opened))
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

/// How a file is opened for reading.
const READING: OFlags = OFlags::RDONLY
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC)
    .union(OFlags::NOFOLLOW);

/// Opens a regular file for reading, with its size. What another program put in its place is neither followed nor
/// waited for.
///
/// # Errors
/// It is not there, or no regular file.
pub(super) fn open_file(path: &Path) -> io::Result<(File, u64)> {
    regular(openat2(
        CWD,
        path,
        READING,
        Mode::empty(),
        ResolveFlags::empty(),
    )?)
}

/// `opened`, which has to be a regular file, with its size.
fn regular(opened: OwnedFd) -> io::Result<(File, u64)> {
    let found = fstat(&opened)?;
    match FileType::from_raw_mode(found.st_mode) {
        FileType::RegularFile => Ok((opened.into(), found.st_size.cast_unsigned())),
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
    read_whole(open_file(path)?, u64::MAX)
}

/// Reads what [`open_file`] has opened, at most `most` bytes.
///
/// # Errors
/// It cannot be read.
pub(super) fn read_whole((file, size): (File, u64), most: u64) -> io::Result<Vec<u8>> {
    // With room for its end it is read in one go. More than a document has is not believed beforehand.
    let room = usize::try_from(size.min(most).min(LARGEST)).unwrap_or_default();
    let mut text = Vec::with_capacity(room + SPARE);
    file.take(most).read_to_end(&mut text)?;
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

    /// By one way from the store, and once the folder is open as well.
    #[test]
    fn a_file_of_a_folder_is_read_by_no_link_and_in_no_other_folder() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        fs::create_dir_all(path("oci")).unwrap();
        fs::write(path("oci/file"), "text").unwrap();
        fs::write(path("outside"), "outside").unwrap();
        symlink("../outside", path("oci/link")).unwrap();
        rustix::fs::mkfifoat(CWD, path("oci/fifo"), Mode::RWXU).unwrap();
        let all = folders(place.path());
        let read = |name: &str| {
            let opened = all.open_file(Folder::Oci, name)?;
            read_whole(opened, u64::MAX)
        };
        for is_open in [false, true] {
            assert_eq!(read("file").unwrap(), b"text", "{is_open}");
            for name in ["link", "fifo", "none"] {
                assert!(read(name).is_err(), "{name} {is_open}");
            }
            all.path(Folder::Oci).unwrap();
        }
        fs::rename(path("oci"), path("aside")).unwrap();
        symlink("aside", path("oci")).unwrap();
        assert_eq!(read("file").unwrap(), b"text", "it was opened before");
        let refused = folders(place.path()).open_file(Folder::Oci, "file");
        assert_eq!(
            Errno::from_io_error(&refused.unwrap_err()),
            Some(Errno::LOOP)
        );
        // Nor is one made by way of a link, or in place of what is there.
        let refused = folders(place.path()).make_file(Folder::Oci, "new");
        assert_eq!(refused.unwrap_err(), Errno::LOOP);
        all.make_file(Folder::Oci, "new").unwrap();
        assert!(path("aside/new").exists());
        for name in ["new", "link"] {
            let refused = all.make_file(Folder::Oci, name);
            assert_eq!(refused.unwrap_err(), Errno::EXIST, "{name}");
        }
        assert!(all.has(Folder::Oci, "new") && !all.has(Folder::Oci, "none"));
        assert!(!all.has(Folder::Layers, "new"), "there is no such folder");
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
