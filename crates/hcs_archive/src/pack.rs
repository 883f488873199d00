//! [`pack()`]: a file or a tree as a stream.
//!
//! Files are found below the directory that was named, through no link ([`Below`]): nothing that is exchanged leads
//! elsewhere. What is opened is the very file that was found: a device that takes its place may do anything when it is
//! opened. Of a file as many bytes are taken as it had when it was opened. What the kernel shows as a file tells no
//! size: it is read first.

use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    io::Write,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::ffi::{OsStrExt as _, OsStringExt as _},
    },
    path::{Path, PathBuf},
    vec,
};

use rustix::{
    fs::{CWD, Dir, FileType, Mode, OFlags, Stat, fstat, fstatfs, openat, readlinkat},
    io::Errno,
};
use tar::EntryType;

use crate::{
    ArchiveError, Notes,
    below::Below,
    name::top_name,
    writer::{Attributes, Writer},
};

/// Data is read in pieces of this size.
const PIECE: usize = 128 << 10;

/// The most that is read of a file of the kernel: it is kept in memory until its size is known.
const MOST_SHOWN: usize = 8 << 20;

/// File systems that show the kernel and not files (`linux/magic.h`): proc, sysfs, cgroup, cgroup2, devpts, mqueue,
/// debugfs, tracefs, securityfs, bpf.
const OF_THE_KERNEL: [i64; 10] = [
    0x9fa0,
    0x6265_6572,
    0x0027_e0eb,
    0x6367_7270,
    0x1cd1,
    0x1980_0202,
    0x6462_6720,
    0x7472_6163,
    0x7363_6673,
    0xcafe_4a11,
];

/// Writes `path` to `stream`, with a directory all that is in it. Its entry has the name that [`top_name`] gives;
/// without one the content of the directory is at the top. A symbolic link is taken as it is, unless `follow`, or a
/// slash behind it, says that what it leads to is meant; below `path` no link is followed. `notes` hears of what was
/// left out.
///
/// # Errors
/// What could not be read or written.
pub fn pack(
    path: &Path,
    follow: bool,
    stream: impl Write,
    notes: Notes<'_>,
) -> Result<(), ArchiveError> {
    let mut packer = Packer {
        writer: Writer::new(stream),
        notes,
        links: HashMap::new(),
        buffer: vec![0; PIECE],
        in_tree: false,
    };
    let name = top_name(path);
    let open = |flags: OFlags| {
        let flags = match follow || name.is_none() {
            true => flags | OFlags::CLOEXEC,
            false => flags | OFlags::CLOEXEC | OFlags::NOFOLLOW,
        };
        openat(CWD, path, flags, Mode::empty())
            .map_err(|errno| ArchiveError::file(path, "cannot be opened", errno))
    };
    let found = open(OFlags::PATH)?;
    let status = status_of(&found, path)?;
    let shown = name.as_deref().unwrap_or(OsStr::new("."));
    match FileType::from_raw_mode(status.st_mode) {
        FileType::Directory => packer.tree(&Below::new(found), shown, &status)?,
        FileType::Symlink => packer.symlink(&found, shown, &status, path)?,
        FileType::RegularFile => {
            let by_name = || open(OFlags::RDONLY | OFlags::NONBLOCK);
            let file = reopened(&found, path).unwrap_or_else(by_name)?;
            packer.file(&file, shown, path)?;
        }
        _ => packer.special(shown, &status, path)?,
    }
    packer.writer.finish()
}

struct Packer<'a, W: Write> {
    writer: Writer<W>,
    notes: Notes<'a>,
    /// The names of files that have several, by device and inode.
    links: HashMap<(u64, u64), OsString>,
    buffer: Vec<u8>,
    /// Whether the files are those of a directory, and not one that was named itself.
    in_tree: bool,
}

/// A directory whose files are being packed.
struct Level {
    path: PathBuf,
    device: u64,
    names: vec::IntoIter<OsString>,
}

impl<W: Write> Packer<'_, W> {
    /// A directory and what is in it; `top` is what its path begins with in the stream.
    fn tree(&mut self, below: &Below, top: &OsStr, status: &Stat) -> Result<(), ArchiveError> {
        self.in_tree = true;
        let mut levels = Vec::new();
        levels.extend(self.directory(below, top, PathBuf::new(), status)?);
        while let Some(level) = levels.last_mut() {
            let Some(name) = level.names.next() else {
                levels.pop();
                continue;
            };
            let (path, device) = (level.path.join(name), level.device);
            match self.member(below, top, path.clone(), device) {
                Ok(next) => levels.extend(next),
                Err(error) if error.errno() == Some(Errno::NOENT) => {
                    (self.notes)(format!("{} was removed meanwhile", path.display()));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Packs what is at `path`; for a directory what comes next.
    fn member(
        &mut self,
        below: &Below,
        top: &OsStr,
        path: PathBuf,
        device: u64,
    ) -> Result<Option<Level>, ArchiveError> {
        let failed = |errno| ArchiveError::file(&path, "cannot be opened", errno);
        let found = below
            .open(&path, OFlags::PATH | OFlags::NOFOLLOW)
            .map_err(failed)?;
        let status = status_of(&found, &path)?;
        let name = named(top, &path);
        match FileType::from_raw_mode(status.st_mode) {
            FileType::Directory => {
                if status.st_dev != device && is_of_the_kernel(&found) {
                    self.begin(&slash(name), None, EntryType::Directory, &status)?;
                    return Ok(None);
                }
                return self.directory(below, top, path, &status);
            }
            FileType::Symlink => self.symlink(&found, &name, &status, &path)?,
            FileType::RegularFile => {
                let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW;
                let by_name = || below.open(&path, flags).map_err(failed);
                match reopened(&found, &path).unwrap_or_else(by_name) {
                    Err(error) if is_of_the_kernel(&found) => {
                        (self.notes)(format!("{error}; it was left out"));
                    }
                    file => self.file(&file?, &name, &path)?,
                }
            }
            _ => self.special(&name, &status, &path)?,
        }
        Ok(None)
    }

    fn directory(
        &mut self,
        below: &Below,
        top: &OsStr,
        path: PathBuf,
        status: &Stat,
    ) -> Result<Option<Level>, ArchiveError> {
        let failed = |errno| ArchiveError::file(&path, "cannot be read", errno);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let opened = below.open(&path, flags).map_err(failed)?;
        let mut names = Vec::new();
        for entry in Dir::new(opened).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name));
            }
        }
        names.sort_unstable();
        self.begin(
            &slash(named(top, &path)),
            None,
            EntryType::Directory,
            status,
        )?;
        Ok(Some(Level {
            path,
            device: status.st_dev,
            names: names.into_iter(),
        }))
    }

    fn file(&mut self, file: &OwnedFd, name: &OsStr, path: &Path) -> Result<(), ArchiveError> {
        let status = status_of(file, path)?;
        if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
            return Err(ArchiveError::file(
                path,
                "was exchanged meanwhile",
                Errno::NOENT,
            ));
        }
        if status.st_nlink > 1 {
            let key = (status.st_dev, status.st_ino);
            if let Some(first) = self.links.get(&key).cloned() {
                return self.begin(name, Some(&first), EntryType::Link, &status);
            }
            self.links.insert(key, name.to_owned());
        }
        // Such files take no room anywhere.
        if status.st_blocks == 0 && is_of_the_kernel(file) {
            return self.shown(file, name, path, status);
        }
        self.begin(name, None, EntryType::Regular, &status)?;
        let mut left = u64::try_from(status.st_size).unwrap_or(0);
        while left > 0 {
            let most = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
            let piece = self.buffer.get_mut(..most).unwrap_or_default();
            let count = match rustix::io::read(file, &mut *piece) {
                Ok(0) => {
                    // The header has promised them.
                    piece.fill(0);
                    most
                }
                Ok(count) => count,
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(ArchiveError::file(path, "cannot be read", errno)),
            };
            self.writer.write(piece.get(..count).unwrap_or_default())?;
            left = left.saturating_sub(count as u64);
        }
        self.writer.end()
    }

    /// A file of the kernel, whose status has another size than what is read, mostly 0 or that of a page.
    fn shown(
        &mut self,
        file: &OwnedFd,
        name: &OsStr,
        path: &Path,
        mut status: Stat,
    ) -> Result<(), ArchiveError> {
        let content = match self.content(file, path) {
            // Some can be read by none, or at certain places only. The rest of the tree is wanted all the same.
            Err(error) if self.in_tree => {
                (self.notes)(format!("{error}; it was left out"));
                return Ok(());
            }
            content => content?,
        };
        status.st_size = i64::try_from(content.len()).unwrap_or(i64::MAX);
        self.begin(name, None, EntryType::Regular, &status)?;
        self.writer.write(&content)?;
        self.writer.end()
    }

    /// What such a file has at once: more that comes later is not waited for.
    fn content(&mut self, file: &OwnedFd, path: &Path) -> Result<Vec<u8>, ArchiveError> {
        let mut content = Vec::new();
        loop {
            match rustix::io::read(file, &mut *self.buffer) {
                Ok(0) | Err(Errno::AGAIN) => return Ok(content),
                Ok(count) => {
                    content.extend_from_slice(self.buffer.get(..count).unwrap_or_default());
                }
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(ArchiveError::file(path, "cannot be read", errno)),
            }
            if content.len() > MOST_SHOWN {
                return Err(ArchiveError::Refused(format!(
                    "{} is a file of the kernel with more than {} MB, which is not copied",
                    path.display(),
                    MOST_SHOWN >> 20
                )));
            }
        }
    }

    fn symlink(
        &mut self,
        link: &OwnedFd,
        name: &OsStr,
        status: &Stat,
        path: &Path,
    ) -> Result<(), ArchiveError> {
        let to = readlinkat(link, "", Vec::new())
            .map_err(|errno| ArchiveError::file(path, "cannot be read as a link", errno))?;
        self.begin(
            name,
            Some(OsStr::from_bytes(to.to_bytes())),
            EntryType::Symlink,
            status,
        )
    }

    /// What is neither a file nor a directory nor a link.
    fn special(&mut self, name: &OsStr, status: &Stat, path: &Path) -> Result<(), ArchiveError> {
        let entry_type = match FileType::from_raw_mode(status.st_mode) {
            FileType::Fifo => EntryType::Fifo,
            FileType::CharacterDevice => EntryType::Char,
            FileType::BlockDevice => EntryType::Block,
            _ => {
                (self.notes)(format!("{} is a socket and was left out", path.display()));
                return Ok(());
            }
        };
        self.begin(name, None, entry_type, status)
    }

    fn begin(
        &mut self,
        name: &OsStr,
        link: Option<&OsStr>,
        entry_type: EntryType,
        status: &Stat,
    ) -> Result<(), ArchiveError> {
        let size = match entry_type {
            EntryType::Regular => u64::try_from(status.st_size).unwrap_or(0),
            _ => 0,
        };
        let attributes = Attributes {
            entry_type,
            size,
            mode: status.st_mode,
            uid: status.st_uid,
            gid: status.st_gid,
            modified: status.st_mtime,
        };
        self.writer.begin(name, link, &attributes)
    }
}

/// Opens the file that was found, whatever its name leads to by now. None where there is no `/proc` of this process, as
/// a system may have it: its own devices are all that a name leads to there.
fn reopened(found: &OwnedFd, path: &Path) -> Option<Result<OwnedFd, ArchiveError>> {
    let name = format!("/proc/self/fd/{}", found.as_raw_fd());
    // Some files of the kernel have something to read at some time only. Of others a lease is waited for.
    let flags = match is_of_the_kernel(found) {
        true => OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC,
        false => OFlags::RDONLY | OFlags::CLOEXEC,
    };
    match openat(CWD, name, flags, Mode::empty()) {
        Err(Errno::NOENT | Errno::NOTDIR) => None,
        opened => Some(opened.map_err(|errno| ArchiveError::file(path, "cannot be opened", errno))),
    }
}

/// Whether a file shows the kernel.
fn is_of_the_kernel(found: &OwnedFd) -> bool {
    fstatfs(found).is_ok_and(|found| OF_THE_KERNEL.contains(&found.f_type))
}

fn status_of(file: &OwnedFd, path: &Path) -> Result<Stat, ArchiveError> {
    fstat(file).map_err(|errno| ArchiveError::file(path, "cannot be looked at", errno))
}

/// The name in the stream of what is at `path` below the directory called `top` there.
fn named(top: &OsStr, path: &Path) -> OsString {
    match path.as_os_str().is_empty() {
        true => top.to_owned(),
        false => Path::new(top).join(path).into_os_string(),
    }
}

/// A directory's name.
fn slash(mut name: OsString) -> OsString {
    name.push("/");
    name
}
