//! [`Below`]: a directory, and the only way to what is in it.
//!
//! Names are resolved by `openat2(2)`: no symbolic link on the way is followed, and no path leaves
//! the directory.
//!
//! Where a filter refuses that call, as in containers to which a tree of the host is mapped, each name is opened in the
//! directory of the one before. That is held by its descriptor, so what is exchanged meanwhile leads nowhere else.

use std::{
    ffi::OsStr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Component, Path},
};

use rustix::{
    fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2},
    io::Errno,
};

/// How often a path is resolved again that was changed meanwhile.
const TRIES: u32 = 16;

/// A directory that paths begin at.
#[derive(Debug)]
pub(crate) struct Below {
    root: OwnedFd,
}

impl Below {
    pub(crate) const fn new(root: OwnedFd) -> Self {
        Self { root }
    }

    /// Opens `path`, which is relative; the empty one is the directory itself. A symbolic link at its end can be opened
    /// with `O_PATH`; elsewhere it is refused by `ELOOP`, or by `ENOTDIR` where a directory is wanted.
    pub(crate) fn open(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let path = match path.as_os_str().is_empty() {
            true => Path::new("."),
            false => path,
        };
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let resolve =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let mut tries = TRIES;
        loop {
            match openat2(&self.root, path, flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN | Errno::INTR) if tries > 0 => tries -= 1,
                Err(Errno::NOSYS) => return by_names(self.as_fd(), path, flags),
                other => return other,
            }
        }
    }

    /// Opens a directory, to make or find files in it by name.
    pub(crate) fn directory(&self, path: &Path) -> Result<OwnedFd, Errno> {
        self.open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW)
    }
}

impl AsFd for Below {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }
}

/// Opens `path` below `root` without `openat2(2)`. No name leads up: `..` is refused.
fn by_names(root: BorrowedFd<'_>, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut names = Vec::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::Normal(name) => names.push(name),
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(Errno::XDEV);
            }
        }
    }
    let last = names.pop().unwrap_or(OsStr::new("."));
    let mut held: Option<OwnedFd> = None;
    for name in names {
        let into = held.as_ref().map_or(root, AsFd::as_fd);
        held = Some(entered(into, name)?);
    }
    let into = held.as_ref().map_or(root, AsFd::as_fd);
    opened(into, last, flags)
}

/// A directory on the way; a symbolic link is told from a file.
fn entered(into: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let found = opened(into, name, flags)?;
    match FileType::from_raw_mode(fstat(&found)?.st_mode) {
        FileType::Directory => Ok(found),
        FileType::Symlink => Err(Errno::LOOP),
        _ => Err(Errno::NOTDIR),
    }
}

fn opened(into: BorrowedFd<'_>, name: &OsStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    loop {
        match openat(into, name, flags, Mode::empty()) {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{MetadataExt as _, symlink},
        path::PathBuf,
    };

    use super::*;

    /// What is opened, as device and inode, in both ways.
    fn both(below: &Below, path: &str, flags: OFlags) -> [Result<(u64, u64), Errno>; 2] {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let told = |opened: Result<OwnedFd, Errno>| {
            let found = fstat(&opened?)?;
            Ok((found.st_dev, found.st_ino))
        };
        let path = Path::new(path);
        [
            told(below.open(path, flags)),
            told(by_names(below.as_fd(), path, flags)),
        ]
    }

    #[test]
    fn names_one_by_one_lead_where_openat2_leads() {
        let scene = tempfile::tempdir().unwrap();
        let root = scene.path().join("root");
        fs::create_dir_all(root.join("dir/deep")).unwrap();
        fs::write(root.join("dir/deep/file"), "").unwrap();
        fs::write(scene.path().join("outside"), "").unwrap();
        for (name, to) in [
            ("up", ".."),
            ("to-dir", "dir"),
            ("to-outside", "../outside"),
        ] {
            symlink(to, root.join(name)).unwrap();
        }
        let below = Below::new(fs::File::open(&root).unwrap().into());
        for path in [
            "",
            "dir",
            "dir/deep/",
            "dir/deep/file",
            "dir/./deep",
            "none",
            "none/file",
            "dir/deep/file/more",
            "up",
            "up/outside",
            "to-dir/deep",
            "to-outside",
            "dir/deep/none",
            "/dir",
            "../outside",
        ] {
            let directory = OFlags::PATH | OFlags::DIRECTORY;
            for flags in [OFlags::PATH, OFlags::RDONLY, directory] {
                let [kernel, ours] = both(&below, path, flags);
                assert_eq!(kernel, ours, "{path:?} {flags:?}");
            }
        }
        let file: PathBuf = root.join("dir/deep/file");
        let found = fs::metadata(file).unwrap();
        let [_, ours] = both(&below, "dir/deep/file", OFlags::PATH);
        assert_eq!(ours, Ok((found.dev(), found.ino())));
        let refused = by_names(below.as_fd(), Path::new("dir/.."), OFlags::PATH);
        assert_eq!(refused.map(drop), Err(Errno::XDEV));
    }
}
