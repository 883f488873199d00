//! Files become entries, in an order that depends on names only.
//!
//! A directory comes before what is in it, and names in the order of their bytes. No link is followed. The folder must
//! not change meanwhile: what a container still writes is exported whole only by chance.

use std::{
    collections::HashMap,
    ffi::CStr,
    fs::File,
    io::{self, Read as _},
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
};

use rustix::{
    fs::{
        AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, major, minor, openat, readlinkat, statat,
    },
    io::Errno,
};

use super::{
    Marks, Omitted, Rights, Sink,
    attributes::{self, Found, Verdict},
};
use crate::{
    Refusal, StorageError,
    tar::{Entry, EntryPath, Kind, Timestamp, entry::Device, is_reserved, mark},
};

/// How a file of the folder is opened. A FIFO in place of a file does not hold up the walk.
const OPEN: OFlags = OFlags::NOFOLLOW
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK);

/// Gives the entries of a folder to a sink.
pub(super) struct Walk<'a> {
    sink: &'a mut dyn Sink,
    marks: Marks,
    depth: usize,
    device: u64,
    /// The first path of each file with more than one name.
    links: HashMap<u64, EntryPath>,
    omitted: Omitted,
}

impl<'a> Walk<'a> {
    /// Walks the folder `root`, and at most `depth` names deep.
    pub(super) fn run(
        root: &OwnedFd,
        marks: Marks,
        depth: usize,
        sink: &'a mut dyn Sink,
    ) -> Result<Omitted, StorageError> {
        let path = EntryPath::default();
        let stat = fstat(root).map_err(|errno| failed("looking at", &path, errno))?;
        let mut walk = Self {
            sink,
            marks,
            depth,
            device: stat.st_dev,
            links: HashMap::new(),
            omitted: Omitted::default(),
        };
        let (entry, found) = walk.entry(root.as_fd(), b".", path, &stat)?;
        walk.directory(root, entry, &found, 0)?;
        Ok(walk.omitted)
    }

    fn directory(
        &mut self,
        directory: &OwnedFd,
        entry: Entry,
        found: &Found,
        depth: usize,
    ) -> Result<(), StorageError> {
        self.sink.take(&entry, &mut io::empty())?;
        let path = entry.path;
        if found.opaque {
            self.sink
                .take(&mark(path.clone(), Kind::Opaque), &mut io::empty())?;
        }
        let names = names(directory).map_err(|errno| failed("reading", &path, errno))?;
        for name in names {
            let path = path.join(&name);
            if depth >= self.depth {
                return Err(refused(&path, Refusal::TooDeep { limit: self.depth }));
            }
            self.file(directory.as_fd(), &name, path, depth + 1)?;
        }
        Ok(())
    }

    fn file(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        path: EntryPath,
        depth: usize,
    ) -> Result<(), StorageError> {
        if is_reserved(name) {
            return Err(refused(&path, Refusal::ReservedName));
        }
        let stat = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW);
        let stat = stat.map_err(|errno| failed("looking at", &path, errno))?;
        if stat.st_dev != self.device {
            return Err(refused(&path, Refusal::OtherFileSystem));
        }
        let (kind, empty) = (FileType::from_raw_mode(stat.st_mode), stat.st_size == 0);
        if kind == FileType::CharacterDevice && device(&stat) == Device::WHITEOUT {
            return self
                .sink
                .take(&mark(path, Kind::Whiteout), &mut io::empty());
        }
        if kind == FileType::Socket {
            self.omitted.sockets += 1;
            return Ok(());
        }
        if kind == FileType::Directory {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OPEN;
            let opened = openat(parent, name, flags, Mode::empty());
            let opened = opened.map_err(|errno| failed("opening", &path, errno))?;
            let (entry, found) = self.entry(parent, name, path, &stat)?;
            return self.directory(&opened, entry, &found, depth);
        }
        let (mut entry, found) = self.entry(parent, name, path, &stat)?;
        if found.whiteout && kind == FileType::RegularFile && empty {
            return self
                .sink
                .take(&mark(entry.path, Kind::Whiteout), &mut io::empty());
        }
        if stat.st_nlink > 1 {
            if let Some(target) = self.links.get(&stat.st_ino) {
                let target = target.clone();
                entry.kind = Kind::HardLink { target };
                entry.xattrs.clear();
                return self.sink.take(&entry, &mut io::empty());
            }
            self.links.insert(stat.st_ino, entry.path.clone());
        }
        self.content(parent, name, &entry, &stat)
    }

    /// Gives an entry with its content to the sink.
    fn content(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        entry: &Entry,
        stat: &Stat,
    ) -> Result<(), StorageError> {
        let Kind::File { size } = entry.kind else {
            return self.sink.take(entry, &mut io::empty());
        };
        let step = |errno| failed("opening", &entry.path, errno);
        let file = openat(parent, name, OFlags::RDONLY | OPEN, Mode::empty()).map_err(step)?;
        let opened = fstat(&file).map_err(step)?;
        if (opened.st_ino, opened.st_size) != (stat.st_ino, stat.st_size) {
            return Err(refused(&entry.path, Refusal::Changed));
        }
        self.sink.take(entry, &mut File::from(file).take(size))
    }

    /// The entry of a file, and the marks of overlayfs on it.
    fn entry(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        path: EntryPath,
        stat: &Stat,
    ) -> Result<(Entry, Found), StorageError> {
        let read = attributes::read(parent, name);
        let mut xattrs = read.map_err(|errno| failed("reading attributes of", &path, errno))?;
        let found = attributes::take_marks(&mut xattrs, self.marks);
        if let Some(attribute) = found.elsewhere {
            let name = attribute.to_owned();
            return Err(refused(&path, Refusal::OverlayAttribute { name }));
        }
        let all = xattrs.len();
        xattrs.retain(|name, _| attributes::verdict(name, Rights::Root) == Verdict::Keep);
        self.omitted.attributes += (all - xattrs.len()) as u64;
        let kind = kind(parent, name, stat);
        let entry = Entry {
            kind: kind.map_err(|errno| failed("reading", &path, errno))?,
            path,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mtime: Timestamp {
                seconds: stat.st_mtime,
                nanoseconds: u32::try_from(stat.st_mtime_nsec).unwrap_or_default(),
            },
            xattrs,
        };
        Ok((entry, found))
    }
}

fn kind(parent: BorrowedFd<'_>, name: &[u8], stat: &Stat) -> Result<Kind, Errno> {
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File {
            size: u64::try_from(stat.st_size).unwrap_or_default(),
        },
        FileType::Directory => Kind::Directory,
        FileType::Symlink => Kind::Symlink {
            target: readlinkat(parent, name, Vec::new())?.into_bytes(),
        },
        FileType::CharacterDevice => Kind::Character(device(stat)),
        FileType::BlockDevice => Kind::Block(device(stat)),
        _ => Kind::Fifo,
    })
}

fn device(stat: &Stat) -> Device {
    Device {
        major: major(stat.st_rdev),
        minor: minor(stat.st_rdev),
    }
}

/// Names in a directory, in the order of their bytes.
fn names(directory: &OwnedFd) -> Result<Vec<Vec<u8>>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let name = entry?.file_name().to_owned();
        if !matches!(CStr::to_bytes(&name), b"." | b"..") {
            names.push(name.into_bytes());
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn refused(path: &EntryPath, refusal: Refusal) -> StorageError {
    StorageError::refused(path.as_bytes(), refusal)
}

fn failed(action: &'static str, path: &EntryPath, errno: Errno) -> StorageError {
    StorageError::step(action, path.as_bytes(), errno)
}
