//! Files become entries, in an order that depends on names only.
//!
//! A directory comes before what is in it, and names in the order of their bytes. No link is followed. Each file is
//! found by its name once, as a descriptor that opens nothing (`O_PATH`), and everything is read by way of that: a
//! container may put another file in its place at any moment, and a device of the host that is opened may do anything.
//! The folder must not change meanwhile: times of change are compared before and after each file and directory is read.
//! A write to a file that was read before is not seen.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::CStr,
    fs::File,
    io::{self, Read},
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
};

use rustix::{
    fs::{CWD, Dir, FileType, Mode, OFlags, Stat, fstat, major, minor, openat, readlinkat},
    io::Errno,
};

use super::{
    Marks, Omitted, Rights, Sink,
    attributes::{self, Found, Verdict},
};
use crate::{
    Limits, Refusal, StorageError,
    limits::{Deadline, charge},
    tar::{Entry, EntryPath, Kind, Timestamp, entry::Device, is_reserved, mark},
};

/// How a file of the folder is found.
const FIND: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// How one that was found is opened.
const OPEN: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC);

/// Gives the entries of a folder to a sink.
pub(super) struct Walk<'a> {
    sink: &'a mut dyn Sink,
    marks: Marks,
    limits: &'a Limits,
    deadline: Deadline,
    entries: u64,
    bytes: u64,
    metadata: u64,
    /// Names that were read and are not entries yet, and their bytes.
    waiting: u64,
    waiting_bytes: u64,
    device: u64,
    /// The first path of each file with more than one name.
    links: HashMap<u64, EntryPath>,
    omitted: Omitted,
}

impl<'a> Walk<'a> {
    /// Walks the folder `root`, which may cost what `limits` say; holes of files count as bytes.
    pub(super) fn run(
        root: &OwnedFd,
        marks: Marks,
        limits: &'a Limits,
        sink: &'a mut dyn Sink,
    ) -> Result<Omitted, StorageError> {
        let path = EntryPath::default();
        let stat = fstat(root).map_err(|errno| failed("looking at", &path, errno))?;
        let mut walk = Self {
            sink,
            marks,
            limits,
            deadline: Deadline::after(limits.time),
            entries: 0,
            bytes: 0,
            metadata: 0,
            waiting: 0,
            waiting_bytes: 0,
            device: stat.st_dev,
            links: HashMap::new(),
            omitted: Omitted::default(),
        };
        let (entry, found) = walk.entry(root.as_fd(), path, &stat)?;
        walk.directory(root, &stat, &entry, &found, 0)?;
        Ok(walk.omitted)
    }

    fn directory(
        &mut self,
        directory: &OwnedFd,
        stat: &Stat,
        entry: &Entry,
        found: &Found,
        depth: usize,
    ) -> Result<(), StorageError> {
        self.sink.take(entry, &mut io::empty())?;
        let path = &entry.path;
        if found.opaque {
            self.sink
                .take(&mark(path.clone(), Kind::Opaque), &mut io::empty())?;
        }
        let names = self.names(directory, path)?;
        self.waiting += names.len() as u64;
        self.waiting_bytes += names.iter().map(|name| name.len() as u64).sum::<u64>();
        for name in names {
            self.waiting -= 1;
            self.waiting_bytes -= name.len() as u64;
            let path = path.join(&name);
            if depth >= self.limits.depth {
                let limit = self.limits.depth;
                return Err(refused(&path, Refusal::TooDeep { limit }));
            }
            self.file(directory.as_fd(), &name, path, depth + 1)?;
        }
        unchanged(directory.as_fd(), stat, &entry.path)
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
        let looking = |errno| failed("looking at", &path, errno);
        let file = openat(parent, name, FIND, Mode::empty()).map_err(looking)?;
        let stat = fstat(&file).map_err(looking)?;
        if stat.st_dev != self.device {
            return Err(refused(&path, Refusal::OtherFileSystem));
        }
        let (kind, empty) = (FileType::from_raw_mode(stat.st_mode), stat.st_size == 0);
        if kind == FileType::CharacterDevice && device(&stat) == Device::WHITEOUT {
            self.count(&path, &BTreeMap::new())?;
            return self
                .sink
                .take(&mark(path, Kind::Whiteout), &mut io::empty());
        }
        if kind == FileType::Socket {
            self.count(&path, &BTreeMap::new())?;
            self.omitted.sockets += 1;
            return Ok(());
        }
        if kind == FileType::Directory {
            let opened = openat(&file, ".", OPEN | OFlags::DIRECTORY, Mode::empty());
            let opened = opened.map_err(|errno| failed("opening", &path, errno))?;
            // One descriptor is enough for each directory on the way.
            drop(file);
            let (entry, found) = self.entry(opened.as_fd(), path, &stat)?;
            unchanged(opened.as_fd(), &stat, &entry.path)?;
            return self.directory(&opened, &stat, &entry, &found, depth);
        }
        let (mut entry, found) = self.entry(file.as_fd(), path, &stat)?;
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
        self.content(file.as_fd(), &entry, &stat)
    }

    /// Gives an entry with its content to the sink.
    fn content(
        &mut self,
        found: BorrowedFd<'_>,
        entry: &Entry,
        stat: &Stat,
    ) -> Result<(), StorageError> {
        let Kind::File { size } = entry.kind else {
            return self.sink.take(entry, &mut io::empty());
        };
        let step = |errno| failed("opening", &entry.path, errno);
        // The very file that was found, which is a regular one.
        let path = format!("/proc/self/fd/{}", found.as_raw_fd());
        let file = openat(CWD, path, OPEN, Mode::empty()).map_err(step)?;
        let opened = fstat(&file).map_err(step)?;
        if times(&opened) != times(stat) {
            return Err(refused(&entry.path, Refusal::Changed));
        }
        let too_large = |limit| Refusal::TooManyBytes { limit };
        charge(&mut self.bytes, size, self.limits.bytes, too_large)
            .map_err(|refusal| refused(&entry.path, refusal))?;
        let file = File::from(file);
        let timed = Timed {
            source: &file,
            deadline: self.deadline,
        };
        let taken = self.sink.take(entry, &mut timed.take(size));
        match unchanged(file.as_fd(), stat, &entry.path) {
            // A file that became shorter has its own failure, which says less.
            Err(changed) if taken.is_ok() || is_short(&taken) => Err(changed),
            _ => taken,
        }
    }

    /// Names in a directory, in the order of their bytes. They are kept in memory, so what is left of the limits holds
    /// for them while they are read, together with those that wait in the directories above.
    fn names(&self, directory: &OwnedFd, path: &EntryPath) -> Result<Vec<Vec<u8>>, StorageError> {
        let step = |errno| failed("reading", path, errno);
        let mut entries = self.entries + self.waiting;
        let mut metadata = self.metadata + self.waiting_bytes;
        let mut names = Vec::new();
        for entry in Dir::read_from(directory).map_err(step)? {
            let name = entry.map_err(step)?.file_name().to_owned();
            if matches!(CStr::to_bytes(&name), b"." | b"..") {
                continue;
            }
            let bytes = CStr::to_bytes(&name).len() as u64;
            self.charge(&mut entries, &mut metadata, bytes)
                .map_err(|refusal| refused(path, refusal))?;
            names.push(name.into_bytes());
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Adds an entry with `bytes` of metadata to these sums, if the limits and the time allow one more.
    fn charge(&self, entries: &mut u64, metadata: &mut u64, bytes: u64) -> Result<(), Refusal> {
        charge(entries, 1, self.limits.entries, |limit| {
            Refusal::TooManyEntries { limit }
        })?;
        charge(metadata, bytes, self.limits.metadata, |limit| {
            Refusal::TooMuchMetadata { limit }
        })?;
        self.deadline.check()
    }

    /// Counts one more entry.
    fn count(
        &mut self,
        path: &EntryPath,
        xattrs: &BTreeMap<Vec<u8>, Vec<u8>>,
    ) -> Result<(), StorageError> {
        let attributes = xattrs.iter().map(|(name, value)| name.len() + value.len());
        let metadata = path.as_bytes().len() + attributes.sum::<usize>();
        let (mut entries, mut all) = (self.entries, self.metadata);
        let charged = self.charge(&mut entries, &mut all, metadata as u64);
        (self.entries, self.metadata) = (entries, all);
        charged.map_err(|refusal| refused(path, refusal))
    }

    /// The entry of a file, and the marks of overlayfs on it.
    fn entry(
        &mut self,
        file: BorrowedFd<'_>,
        path: EntryPath,
        stat: &Stat,
    ) -> Result<(Entry, Found), StorageError> {
        let read = attributes::read(file);
        let mut xattrs = read.map_err(|errno| failed("reading attributes of", &path, errno))?;
        let found = attributes::take_marks(&mut xattrs, self.marks);
        if let Some(attribute) = found.elsewhere {
            let name = attribute.to_owned();
            return Err(refused(&path, Refusal::OverlayAttribute { name }));
        }
        let all = xattrs.len();
        xattrs.retain(|name, _| attributes::verdict(name, Rights::Root) == Verdict::Keep);
        self.omitted.attributes += (all - xattrs.len()) as u64;
        self.count(&path, &xattrs)?;
        let kind = kind(file, stat);
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

/// What a write to a file changes: size, content's and attributes' times. Reading changes none of it.
fn times(stat: &Stat) -> impl PartialEq + use<> {
    let content = (stat.st_mtime, stat.st_mtime_nsec);
    let attributes = (stat.st_ctime, stat.st_ctime_nsec);
    (stat.st_dev, stat.st_ino, stat.st_size, content, attributes)
}

/// Refuses what has changed since `stat` was had.
fn unchanged(file: BorrowedFd<'_>, stat: &Stat, path: &EntryPath) -> Result<(), StorageError> {
    let now = fstat(file).map_err(|errno| failed("looking at", path, errno))?;
    match times(&now) == times(stat) {
        true => Ok(()),
        false => Err(refused(path, Refusal::Changed)),
    }
}

/// Whether a sink missed bytes of a file.
fn is_short(taken: &Result<(), StorageError>) -> bool {
    let refusal = taken.as_ref().err().and_then(StorageError::refusal);
    matches!(refusal, Some(Refusal::WrongSize { .. }))
}

/// A file that is read until the time is over.
struct Timed<'a> {
    source: &'a File,
    deadline: Deadline,
}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.deadline.check()?;
        self.source.read(buffer)
    }
}

fn kind(file: BorrowedFd<'_>, stat: &Stat) -> Result<Kind, Errno> {
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File {
            size: u64::try_from(stat.st_size).unwrap_or_default(),
        },
        FileType::Directory => Kind::Directory,
        FileType::Symlink => Kind::Symlink {
            target: readlinkat(file, c"", Vec::new())?.into_bytes(),
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

fn refused(path: &EntryPath, refusal: Refusal) -> StorageError {
    StorageError::refused(path.as_bytes(), refusal)
}

fn failed(action: &'static str, path: &EntryPath, errno: Errno) -> StorageError {
    StorageError::step(action, path.as_bytes(), errno)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::MetadataExt as _, path::PathBuf};

    use super::*;
    use crate::layer::export;

    /// Writes to a file or directory while it is read.
    struct Meddler {
        path: PathBuf,
        write: fn(&std::path::Path),
        at: &'static [u8],
    }

    impl Sink for Meddler {
        fn take(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), StorageError> {
            if entry.path.as_bytes() == self.at {
                let before = fs::metadata(&self.path).unwrap();
                let time = |found: &fs::Metadata| (found.ctime(), found.ctime_nsec());
                // Times are as coarse as the kernel's clock.
                while time(&fs::metadata(&self.path).unwrap()) == time(&before) {
                    (self.write)(&self.path);
                }
            }
            io::copy(content, &mut io::sink()).unwrap();
            Ok(())
        }
    }

    fn walked(meddler: &mut Meddler, limits: &Limits) -> Result<Omitted, StorageError> {
        let root = export::open(meddler.path.parent().unwrap()).unwrap();
        Walk::run(&root, Marks::Trusted, limits, meddler)
    }

    #[test]
    fn what_is_overwritten_while_it_is_read_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let (file, folder) = (place.path().join("file"), place.path().join("folder"));
        fs::write(&file, "before").unwrap();
        fs::create_dir(&folder).unwrap();
        let rewritten = |path: &std::path::Path| fs::write(path, "AFTER!").unwrap();
        let grown = |path: &std::path::Path| {
            fs::write(path.join("new"), "").unwrap();
            fs::remove_file(path.join("new")).unwrap();
        };
        for (path, write, at) in [
            (file, rewritten as fn(&std::path::Path), &b"file"[..]),
            (folder, grown, b"folder"),
        ] {
            let mut meddler = Meddler { path, write, at };
            let told = walked(&mut meddler, &Limits::default()).unwrap_err();
            assert_eq!(told.refusal(), Some(&Refusal::Changed), "{told}");
            meddler.at = b"-";
            walked(&mut meddler, &Limits::default()).unwrap();
        }
    }

    /// Takes nothing, and counts.
    struct Counter(usize);

    impl Sink for Counter {
        fn take(&mut self, _: &Entry, _: &mut dyn Read) -> Result<(), StorageError> {
            self.0 += 1;
            Ok(())
        }
    }

    #[test]
    fn a_directory_with_too_many_names_is_refused_before_any_of_them_is_read() {
        let place = tempfile::tempdir().unwrap();
        for number in 0..5 {
            let socket = place.path().join(format!("name{number}"));
            std::os::unix::net::UnixListener::bind(socket).unwrap();
        }
        let root = export::open(place.path()).unwrap();
        let walked = |limits: Limits| {
            let mut counter = Counter(0);
            let done = Walk::run(&root, Marks::Trusted, &limits, &mut counter);
            let refusal = done.as_ref().err().and_then(StorageError::refusal);
            (refusal.cloned(), counter.0)
        };
        let all = Limits::default();
        // The root is an entry too, and is taken before its names are read.
        let (few, limit) = (Limits { entries: 5, ..all }, 5);
        assert_eq!(walked(few), (Some(Refusal::TooManyEntries { limit }), 1));
        let (short, limit) = (
            Limits {
                metadata: 20,
                ..all
            },
            20,
        );
        assert_eq!(walked(short), (Some(Refusal::TooMuchMetadata { limit }), 1));
        assert_eq!(walked(Limits { entries: 6, ..all }).0, None);
    }
}
