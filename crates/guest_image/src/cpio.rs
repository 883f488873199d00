//! An initial ramdisk: a cpio archive in the format "newc", as the kernel unpacks it (`initramfs buffer format`).
//!
//! Entries are written in the order of their paths, with no times, so the same entries make the same bytes. Directories
//! on the way to an entry are added.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _, Write},
    os::fd::{AsRawFd as _, OwnedFd},
    sync::Arc,
};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

/// Mode bits of a directory, file, symbolic link and character device.
const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
const CHARACTER_DEVICE: u32 = 0o020_000;
const PERMISSIONS: u32 = 0o7777;
/// The longest path.
const MAX_PATH: usize = 4095;
/// Archives are as long as a multiple of this.
const BLOCK: u64 = 512;
/// The name of the last entry.
const END: &str = "TRAILER!!!";

/// Where the bytes of a file are.
#[derive(Debug)]
enum Content {
    Bytes(Vec<u8>),
    /// So many bytes of a file below a directory.
    Below {
        root: Arc<OwnedFd>,
        path: String,
        size: u64,
    },
}

#[derive(Debug)]
struct Entry {
    mode: u32,
    owner: (u32, u32),
    device: (u32, u32),
    content: Content,
}

impl Entry {
    fn size(&self) -> u64 {
        match &self.content {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::Below { size, .. } => *size,
        }
    }
}

/// The entries of an archive.
#[derive(Debug, Default)]
pub struct Archive {
    entries: BTreeMap<String, Entry>,
    next: u32,
}

impl Archive {
    /// Adds a directory; one that is there gets these permissions.
    ///
    /// # Errors
    /// The path is none of an archive.
    pub fn directory(&mut self, path: &str, permissions: u32) -> io::Result<()> {
        self.add(
            path,
            DIRECTORY | permissions & PERMISSIONS,
            (0, 0),
            Content::Bytes(Vec::new()),
        )
    }

    /// Adds a file, in place of one that is there.
    ///
    /// # Errors
    /// The path is none of an archive.
    pub fn file(&mut self, path: &str, permissions: u32, bytes: Vec<u8>) -> io::Result<()> {
        self.add(
            path,
            FILE | permissions & PERMISSIONS,
            (0, 0),
            Content::Bytes(bytes),
        )
    }

    /// Adds the first `size` bytes of the file `source` below the directory `root`, which are read when the archive is
    /// written. No symbolic link is followed then.
    ///
    /// # Errors
    /// The path is none of an archive.
    pub fn file_below(
        &mut self,
        path: &str,
        permissions: u32,
        (root, source): (Arc<OwnedFd>, String),
        size: u64,
    ) -> io::Result<()> {
        let content = Content::Below {
            root,
            path: source,
            size,
        };
        self.add(path, FILE | permissions & PERMISSIONS, (0, 0), content)
    }

    /// Adds a symbolic link.
    ///
    /// # Errors
    /// The path is none of an archive.
    pub fn link(&mut self, path: &str, target: &str) -> io::Result<()> {
        self.add(path, LINK | 0o777, (0, 0), Content::Bytes(target.into()))
    }

    /// Adds a character device.
    ///
    /// # Errors
    /// The path is none of an archive.
    pub fn device(&mut self, path: &str, permissions: u32, device: (u32, u32)) -> io::Result<()> {
        self.add(
            path,
            CHARACTER_DEVICE | permissions & PERMISSIONS,
            device,
            Content::Bytes(Vec::new()),
        )
    }

    /// Gives an entry to a user and a group; it is root's otherwise.
    pub fn own(&mut self, path: &str, owner: (u32, u32)) {
        if let Some(entry) = self.entries.get_mut(path.trim_matches('/')) {
            entry.owner = owner;
        }
    }

    /// Whether there is an entry.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        self.entries.contains_key(path.trim_matches('/'))
    }

    fn add(
        &mut self,
        path: &str,
        mode: u32,
        device: (u32, u32),
        content: Content,
    ) -> io::Result<()> {
        let path = path.trim_matches('/');
        let plain = |part: &str| !matches!(part, "" | "." | ".." | END) && !part.contains('\0');
        if path.len() > MAX_PATH || !path.split('/').all(plain) {
            return Err(invalid(format!("{path:?} is no path in an archive")));
        }
        for (end, _) in path.match_indices('/') {
            let parent = self.entries.entry(path[..end].to_owned());
            let parent = parent.or_insert_with(|| Entry {
                mode: DIRECTORY | 0o755,
                owner: (0, 0),
                device: (0, 0),
                content: Content::Bytes(Vec::new()),
            });
            if parent.mode & !PERMISSIONS != DIRECTORY {
                return Err(invalid(format!(
                    "{path:?} lies in something that is no directory"
                )));
            }
        }
        let entry = Entry {
            mode,
            owner: (0, 0),
            device,
            content,
        };
        if u32::try_from(entry.size()).is_err() {
            return Err(invalid(format!(
                "{path:?} is larger than an archive can hold"
            )));
        }
        self.entries.insert(path.to_owned(), entry);
        Ok(())
    }

    /// Writes the archive; returns its size.
    ///
    /// # Errors
    /// Writing failed, or a file that was added open has become shorter.
    pub fn write(mut self, to: &mut impl Write) -> io::Result<u64> {
        let mut written = 0;
        let entries = std::mem::take(&mut self.entries);
        for (path, entry) in entries {
            written += self.head(to, &path, &entry)?;
            let size = entry.size();
            match &entry.content {
                Content::Bytes(bytes) => to.write_all(bytes)?,
                Content::Below { root, path, size } => copy(root, path, *size, to)?,
            }
            written += size + pad(to, size)?;
        }
        let end = Entry {
            mode: 0,
            owner: (0, 0),
            device: (0, 0),
            content: Content::Bytes(Vec::new()),
        };
        written += self.head(to, END, &end)?;
        let rest = written.next_multiple_of(BLOCK) - written;
        io::copy(&mut io::repeat(0).take(rest), to)?;
        Ok(written + rest)
    }

    /// Writes the header and the path of an entry; returns how many bytes.
    fn head(&mut self, to: &mut impl Write, path: &str, entry: &Entry) -> io::Result<u64> {
        self.next += 1;
        let is_directory = entry.mode & !PERMISSIONS == DIRECTORY;
        let size = u32::try_from(entry.size()).unwrap_or(u32::MAX);
        let name_size = u32::try_from(path.len() + 1).unwrap_or(u32::MAX);
        let fields = [
            self.next,
            entry.mode,
            entry.owner.0,
            entry.owner.1,
            if is_directory { 2 } else { 1 },
            0,
            size,
            0,
            0,
            entry.device.0,
            entry.device.1,
            name_size,
            0,
        ];
        let mut head = "070701".to_owned();
        for field in fields {
            head += &format!("{field:08x}");
        }
        head += path;
        head.push('\0');
        to.write_all(head.as_bytes())?;
        let length = head.len() as u64;
        Ok(length + pad(to, length)?)
    }
}

/// Writes the first `size` bytes of a file.
fn copy(root: &OwnedFd, path: &str, size: u64, to: &mut impl Write) -> io::Result<()> {
    let changed = || Err(invalid(format!("/{path} has changed meanwhile")));
    let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let within = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let found = File::from(openat2(root, path, flags, Mode::empty(), within)?);
    // A device that has taken its place may do anything when it is opened.
    if !found.metadata()?.is_file() {
        return changed();
    }
    let file = File::open(format!("/proc/self/fd/{}", found.as_raw_fd()))?;
    match io::copy(&mut file.take(size), to)? == size {
        true => Ok(()),
        false => changed(),
    }
}

/// Writes zeros up to a multiple of four; returns how many.
fn pad(to: &mut impl Write, size: u64) -> io::Result<u64> {
    let rest = size.next_multiple_of(4) - size;
    io::copy(&mut io::repeat(0).take(rest), to)
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// A directory with a program.
    fn root() -> Arc<OwnedFd> {
        let root = rustix::fs::open("/usr", OFlags::PATH | OFlags::DIRECTORY, Mode::empty());
        Arc::new(root.unwrap())
    }

    fn example() -> Vec<u8> {
        let mut archive = Archive::default();
        archive
            .file("/usr/bin/tool", 0o755, b"contents".to_vec())
            .unwrap();
        archive.link("bin", "usr/bin").unwrap();
        archive.directory("usr", 0o700).unwrap();
        archive.device("dev/console", 0o600, (5, 1)).unwrap();
        archive
            .file_below("part", 0o644, (root(), "bin/busybox".to_owned()), 7)
            .unwrap();
        archive.own("part", (7, 8));
        let mut bytes = Vec::new();
        let written = archive.write(&mut bytes).unwrap();
        assert_eq!(written, bytes.len() as u64);
        bytes
    }

    #[test]
    fn the_same_entries_make_the_same_bytes() {
        let bytes = example();
        assert_eq!(bytes.len() % 512, 0);
        assert_eq!(bytes, example());
    }

    /// busybox reads what the kernel reads.
    #[test]
    fn another_program_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut reader = Command::new("busybox")
            .args(["cpio", "-i", "-v"])
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        reader.stdin.take().unwrap().write_all(&example()).unwrap();
        assert!(reader.wait().unwrap().success());
        let read = |path: &str| std::fs::read(folder.path().join(path)).unwrap();
        assert_eq!(read("bin/tool"), b"contents");
        assert_eq!(&read("part")[..4], b"\x7fELF");
        assert_eq!(read("part").len(), 7);
    }

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        let mut archive = Archive::default();
        archive.file("file", 0o644, Vec::new()).unwrap();
        for path in ["", "/", "a/../b", "./a", "a//b", "file/below", "a\0b", END] {
            assert!(archive.directory(path, 0o755).is_err(), "{path:?}");
        }
        for source in ["no such file", "bin", "../etc/passwd", "/etc/passwd"] {
            let mut archive = Archive::default();
            archive
                .file_below("it", 0o644, (root(), source.to_owned()), 1)
                .unwrap();
            assert!(archive.write(&mut Vec::new()).is_err(), "{source}");
        }
    }

    #[test]
    fn a_node_in_place_of_a_file_is_not_opened() {
        use rustix::fs::{CWD, inotify, mkfifoat};
        let folder = tempfile::tempdir().unwrap();
        // It stands for a device: that it is opened is seen, and does nothing.
        let node = folder.path().join("node");
        mkfifoat(CWD, &node, Mode::RUSR | Mode::WUSR).unwrap();
        let watch = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
        inotify::add_watch(&watch, &node, inotify::WatchFlags::OPEN).unwrap();
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let root = rustix::fs::open(folder.path(), flags, Mode::empty()).unwrap();
        let mut archive = Archive::default();
        let source = (Arc::new(root), "node".to_owned());
        archive.file_below("it", 0o644, source, 1).unwrap();
        assert!(archive.write(&mut Vec::new()).is_err());
        let mut buffer = [std::mem::MaybeUninit::uninit(); 512];
        let opened = inotify::Reader::new(&watch, &mut buffer).next().map(drop);
        assert_eq!(opened, Err(rustix::io::Errno::AGAIN));
    }
}
