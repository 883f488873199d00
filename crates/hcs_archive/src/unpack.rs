//! [`unpack()`]: the files of a stream, made below a destination.
//!
//! Each file is new: what was there by its name is removed, not written to. Directories that were there stay as they
//! are; those that are made get their permissions and times when the stream has left them.

use std::{
    ffi::OsStr,
    io::Read,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{
        AtFlags, FileType, Mode, OFlags, SeekFrom, Timespec, Timestamps, chownat, fchmod, fchown,
        fstat, ftruncate, futimens, linkat, mkdirat, mknodat, openat, seek, symlinkat, unlinkat,
        utimensat,
    },
    io::{Errno, write},
    process::{Gid, Uid},
};

use crate::{
    ArchiveError, Notes, Target,
    destination::Destination,
    reader::{Entry, Kind, Reader},
};

/// Data is read in pieces of this size, and left out of the file where it is zeros alone.
const PIECE: usize = 64 << 10;

/// The bits that give a program the rights of its file's owner or group.
const SETID: u32 = 0o6000;

/// What is taken over from a stream.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether files get the owners that the stream names; without it those of the process.
    pub keep_owners: bool,
    /// The bits of permissions that are taken over, of `0o7777`.
    pub mode_mask: u32,
    /// Bytes of all files, at most. Zeros count, which take no space.
    pub most_bytes: u64,
    /// Files, directories and links, at most.
    pub most_files: u64,
}

/// What a stream has cost so far.
#[derive(Debug, Default)]
struct Spent {
    bytes: u64,
    files: u64,
}

impl Spent {
    /// Counts one more file, or directory, of `bytes`.
    fn charge(&mut self, bytes: u64, options: Options) -> Result<(), ArchiveError> {
        self.files = self.files.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
        let (what, most, option) = match options {
            Options { most_files, .. } if self.files > most_files => {
                ("files and directories", most_files, "--max-files")
            }
            Options { most_bytes, .. } if self.bytes > most_bytes => {
                ("bytes", most_bytes, "--max-size")
            }
            _ => return Ok(()),
        };
        let message =
            format!("there are more than {most} {what} to copy, which {option} can allow");
        Err(ArchiveError::Refused(message))
    }
}

/// Puts the files of `stream` to `path`; `notes` hears of what was left out, and how.
///
/// # Errors
/// What could not be done. Files made until then stay.
pub fn unpack(
    stream: impl Read,
    path: &Path,
    target: Target,
    options: Options,
    notes: Notes<'_>,
) -> Result<(), ArchiveError> {
    let mut unpacker = Unpacker {
        destination: Destination::find(path, target)?,
        options,
        notes,
        made: Vec::new(),
        parent: None,
        left_out: 0,
        spent: Spent::default(),
    };
    let mut reader = Reader::new(stream);
    while let Some(entry) = reader.next_entry()? {
        unpacker.entry(&entry, &mut reader)?;
    }
    unpacker.leave(None)?;
    reader.drain()?;
    match unpacker.left_out {
        0 => Ok(()),
        count => {
            let message = format!("{count} devices were left out; all else was copied");
            Err(ArchiveError::Refused(message))
        }
    }
}

struct Unpacker<'a> {
    destination: Destination,
    options: Options,
    notes: Notes<'a>,
    /// Directories that were made and that the stream may still put files into, each below the one before it.
    made: Vec<(PathBuf, Entry)>,
    /// The directory of the last entry: the next one is mostly in it, too.
    parent: Option<(PathBuf, OwnedFd)>,
    left_out: u64,
    spent: Spent,
}

impl Unpacker<'_> {
    fn entry(&mut self, entry: &Entry, data: &mut Reader<impl Read>) -> Result<(), ArchiveError> {
        let path = self.destination.place(entry)?;
        self.spent.charge(entry.size, self.options)?;
        self.leave(Some(&path))?;
        let Some(name) = path.file_name() else {
            // The destination itself is there.
            return match entry.kind {
                Kind::Directory => Ok(()),
                _ => Err(ArchiveError::Malformed("a file has no name".to_owned())),
            };
        };
        if entry.kind == Kind::Device {
            self.left_out += 1;
            (self.notes)(format!("{} is a device and was left out", path.display()));
            return Ok(());
        }
        let parent = self.parent_of(&path)?;
        match &entry.kind {
            Kind::Directory => self.directory(parent.as_fd(), name, &path, entry)?,
            Kind::File => self.file(parent.as_fd(), name, &path, entry, data)?,
            Kind::HardLink(first) => self.hard_link(parent.as_fd(), name, &path, first)?,
            Kind::Symlink(_) | Kind::Fifo => self.special(parent.as_fd(), name, &path, entry)?,
            Kind::Device => {}
        }
        let directory = path.parent().unwrap_or(Path::new("")).to_owned();
        self.parent = Some((directory, parent));
        Ok(())
    }

    /// The directory that `path` is in; one that no entry has named is made.
    fn parent_of(&mut self, path: &Path) -> Result<OwnedFd, ArchiveError> {
        let wanted = path.parent().unwrap_or(Path::new(""));
        if let Some((_, opened)) = self.parent.take_if(|(path, _)| path == wanted) {
            return Ok(opened);
        }
        let below = &self.destination.below;
        match below.directory(wanted) {
            Err(Errno::NOENT) => {}
            other => return other.map_err(|errno| not_entered(wanted, errno)),
        }
        let mut path = PathBuf::new();
        let mut parent = below.directory(&path);
        for name in wanted {
            path.push(name);
            let into = parent.map_err(|errno| not_entered(&path, errno))?;
            match mkdirat(&into, name, Mode::from_raw_mode(0o755)) {
                Ok(()) => self.spent.charge(0, self.options)?,
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(not_made(&path, errno)),
            }
            parent = below.directory(&path);
        }
        parent.map_err(|errno| not_entered(wanted, errno))
    }

    fn directory(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &OsStr,
        path: &Path,
        entry: &Entry,
    ) -> Result<(), ArchiveError> {
        match mkdirat(parent, name, Mode::from_raw_mode(0o700)) {
            Ok(()) => {
                self.made.push((path.to_owned(), entry.clone()));
                Ok(())
            }
            // It stays as it is, if it is one.
            Err(Errno::EXIST) => {
                let there = self.destination.below.directory(path);
                there.map(drop).map_err(|errno| not_entered(path, errno))
            }
            Err(errno) => Err(not_made(path, errno)),
        }
    }

    fn file(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &OsStr,
        path: &Path,
        entry: &Entry,
        data: &mut Reader<impl Read>,
    ) -> Result<(), ArchiveError> {
        let file = match clear(parent, name, path) {
            Ok(()) => {
                let flags = OFlags::WRONLY
                    | OFlags::CREATE
                    | OFlags::EXCL
                    | OFlags::NOFOLLOW
                    | OFlags::CLOEXEC;
                openat(parent, name, flags, Mode::from_raw_mode(0o600))
                    .map_err(|errno| not_made(path, errno))?
            }
            // Something is mounted there, as /etc/hosts in a container.
            Err(error) if error.errno() == Some(Errno::BUSY) => self.mounted(path)?,
            Err(error) => return Err(error),
        };
        let filled = fill(&file, entry.size, path, data);
        if filled.is_err() {
            // Half a file is no copy.
            let _stays = unlinkat(parent, name, AtFlags::empty());
        }
        filled?;
        self.attributes(&file, path, entry)
    }

    /// A file that something is mounted on, emptied.
    fn mounted(&self, path: &Path) -> Result<OwnedFd, ArchiveError> {
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW;
        let failed = |errno| ArchiveError::file(path, "cannot be written", errno);
        let file = self.destination.below.open(path, flags).map_err(failed)?;
        let found = fstat(&file).map_err(failed)?;
        if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
            return Err(failed(Errno::BUSY));
        }
        ftruncate(&file, 0).map_err(failed)?;
        Ok(file)
    }

    fn hard_link(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &OsStr,
        path: &Path,
        first: &Path,
    ) -> Result<(), ArchiveError> {
        let first = self.destination.map(first)?;
        let failed = |errno| {
            let doing = format!("cannot be made as a hard link to {}", first.display());
            ArchiveError::file(path, &doing, errno)
        };
        let first_name = first.file_name().ok_or_else(|| failed(Errno::INVAL))?;
        if first == path {
            return Ok(());
        }
        let first_parent = first.parent().unwrap_or(Path::new(""));
        let first_parent = self
            .destination
            .below
            .directory(first_parent)
            .map_err(failed)?;
        clear(parent, name, path)?;
        linkat(first_parent, first_name, parent, name, AtFlags::empty()).map_err(failed)
    }

    fn special(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &OsStr,
        path: &Path,
        entry: &Entry,
    ) -> Result<(), ArchiveError> {
        clear(parent, name, path)?;
        let made = match &entry.kind {
            Kind::Symlink(to) => symlinkat(to.as_os_str(), parent, name),
            _ => {
                let mode = Mode::from_raw_mode(entry.mode & self.options.mode_mask & !SETID);
                mknodat(parent, name, FileType::Fifo, mode, 0)
            }
        };
        made.map_err(|errno| not_made(path, errno))?;
        if self.options.keep_owners {
            let (user, group) = owners(entry);
            chownat(parent, name, user, group, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|errno| not_given(path, errno))?;
        }
        utimensat(parent, name, &times(entry), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| ArchiveError::file(path, "cannot be given its time", errno))
    }

    /// Ends the directories that `next` is not in; all of them at the end of the stream.
    fn leave(&mut self, next: Option<&Path>) -> Result<(), ArchiveError> {
        let left =
            |(path, _): &mut (PathBuf, Entry)| !next.is_some_and(|next| next.starts_with(path));
        while let Some((path, entry)) = self.made.pop_if(left) {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
            let directory = self.destination.below.open(&path, flags);
            let directory = directory.map_err(|errno| not_entered(&path, errno))?;
            self.attributes(&directory, &path, &entry)?;
        }
        Ok(())
    }

    fn attributes(
        &mut self,
        file: &OwnedFd,
        path: &Path,
        entry: &Entry,
    ) -> Result<(), ArchiveError> {
        if self.options.keep_owners {
            let (user, group) = owners(entry);
            fchown(file, user, group).map_err(|errno| not_given(path, errno))?;
        }
        let mode = entry.mode & self.options.mode_mask;
        let changed = match fchmod(file, Mode::from_raw_mode(mode)) {
            // Some file systems, and containers whose files the host sees, have no such programs.
            Err(Errno::PERM) if mode & SETID != 0 => {
                (self.notes)(format!(
                    "{} is copied without setuid and setgid, which are not allowed there",
                    path.display()
                ));
                fchmod(file, Mode::from_raw_mode(mode & !SETID))
            }
            other => other,
        };
        changed
            .map_err(|errno| ArchiveError::file(path, "cannot be given its permissions", errno))?;
        futimens(file, &times(entry))
            .map_err(|errno| ArchiveError::file(path, "cannot be given its time", errno))
    }
}

/// Removes what is there by the name, so that the entry is a new one. A directory stays, and is an error.
fn clear(parent: BorrowedFd<'_>, name: &OsStr, path: &Path) -> Result<(), ArchiveError> {
    match unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::ISDIR) => Err(ArchiveError::Refused(format!(
            "{} is a directory; a file cannot take its place",
            path.display()
        ))),
        Err(errno) => Err(ArchiveError::file(path, "cannot be replaced", errno)),
    }
}

/// Writes the data of an entry; zeros become holes.
fn fill(
    file: &OwnedFd,
    size: u64,
    path: &Path,
    data: &mut Reader<impl Read>,
) -> Result<(), ArchiveError> {
    let failed = |errno| ArchiveError::file(path, "cannot be written", errno);
    let mut buffer = vec![0; PIECE];
    loop {
        let mut piece = 0;
        while let Some(rest) = buffer.get_mut(piece..).filter(|rest| !rest.is_empty()) {
            match data.read_data(rest)? {
                0 => break,
                count => piece += count,
            }
        }
        let bytes = buffer.get(..piece).unwrap_or_default();
        if bytes.is_empty() {
            break;
        }
        if bytes.iter().all(|byte| *byte == 0) {
            seek(file, SeekFrom::Current(i64::try_from(piece).unwrap_or(0))).map_err(failed)?;
        } else {
            write_all(file, bytes).map_err(failed)?;
        }
    }
    // Where it ends with a hole.
    ftruncate(file, size).map_err(failed)
}

fn write_all(file: &OwnedFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match write(file, bytes) {
            Ok(0) => return Err(Errno::IO),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn owners(entry: &Entry) -> (Option<Uid>, Option<Gid>) {
    (
        Some(Uid::from_raw(entry.uid)),
        Some(Gid::from_raw(entry.gid)),
    )
}

const fn times(entry: &Entry) -> Timestamps {
    let modified = Timespec {
        tv_sec: entry.modified,
        tv_nsec: 0,
    };
    Timestamps {
        last_access: modified,
        last_modification: modified,
    }
}

fn not_made(path: &Path, errno: Errno) -> ArchiveError {
    ArchiveError::file(path, "cannot be made", errno)
}

fn not_entered(path: &Path, errno: Errno) -> ArchiveError {
    match errno {
        Errno::LOOP | Errno::NOTDIR => ArchiveError::Refused(format!(
            "{} is a file or a symbolic link; nothing is written through links, so a directory cannot be copied there",
            path.display()
        )),
        errno => ArchiveError::file(path, "cannot be entered", errno),
    }
}

fn not_given(path: &Path, errno: Errno) -> ArchiveError {
    ArchiveError::file(
        path,
        "cannot be given its owner, which takes root; leave out --archive",
        errno,
    )
}
