//! The files below a directory, for a guest whose root file system is its initial ramdisk.
//!
//! Files, directories and symbolic links come along with their owners and permissions; sockets, FIFOs and devices do
//! not. The walk holds a descriptor of each directory it is in, and follows no link.

use std::{
    ffi::CStr,
    io,
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
    sync::Arc,
};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, open, openat, readlinkat, statat};

use crate::cpio::Archive;

/// The most entries of a tree, and how deep it may be.
const MOST: usize = 1_000_000;
const MAX_DEPTH: usize = 100;

/// A walk that has begun.
struct Walk<'a> {
    archive: &'a mut Archive,
    root: Arc<OwnedFd>,
    count: usize,
}

/// Adds what is below the directory `root`. What is in the archive already stays.
///
/// # Errors
/// The directory cannot be read, is too large or too deep, or has names that are no UTF-8.
pub fn add(archive: &mut Archive, root: &Path) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = Arc::new(open(root, flags, Mode::empty())?);
    let top = openat(&root, c".", flags, Mode::empty())?;
    let mut walk = Walk {
        archive,
        root,
        count: 0,
    };
    walk.directory(&top, "", 0)
}

impl Walk<'_> {
    fn directory(&mut self, folder: &OwnedFd, path: &str, depth: usize) -> io::Result<()> {
        if depth > MAX_DEPTH {
            return Err(refused(format!(
                "/{path} is deeper than {MAX_DEPTH} directories"
            )));
        }
        for entry in Dir::read_from(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let text = name.to_str();
            let text = text.map_err(|_| refused(format!("{name:?} in /{path} is no UTF-8")))?;
            let below = match path {
                "" => text.to_owned(),
                path => format!("{path}/{text}"),
            };
            self.count += 1;
            if self.count > MOST {
                return Err(refused(format!("it has more than {MOST} entries")));
            }
            self.entry(folder, name, &below, depth)?;
        }
        Ok(())
    }

    fn entry(&mut self, folder: &OwnedFd, name: &CStr, path: &str, depth: usize) -> io::Result<()> {
        let about = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let permissions = about.st_mode & 0o7777;
        let known = self.archive.has(path);
        match FileType::from_raw_mode(about.st_mode) {
            FileType::Directory => {
                if !known {
                    self.archive.directory(path, permissions)?;
                }
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let opened = openat(folder.as_fd(), name, flags, Mode::empty())?;
                self.directory(&opened, path, depth + 1)?;
            }
            _ if known => return Ok(()),
            FileType::RegularFile => {
                let size = u64::try_from(about.st_size).unwrap_or_default();
                let source = (Arc::clone(&self.root), path.to_owned());
                self.archive.file_below(path, permissions, source, size)?;
            }
            FileType::Symlink => {
                let target = readlinkat(folder, name, Vec::new())?;
                let target = target.to_str();
                let target =
                    target.map_err(|_| refused(format!("/{path} leads to what is no UTF-8")))?;
                self.archive.link(path, target)?;
            }
            _ => return Ok(()),
        }
        if !known {
            self.archive.own(path, (about.st_uid, about.st_gid));
        }
        Ok(())
    }
}

fn refused(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn files_and_links_come_along_and_nothing_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        fs::create_dir_all(at("usr/bin")).unwrap();
        fs::write(at("usr/bin/tool"), "contents").unwrap();
        fs::write(at("init"), "another").unwrap();
        symlink("/etc", at("etc")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        let mut archive = Archive::default();
        archive.file("init", 0o755, b"the agent".to_vec()).unwrap();
        add(&mut archive, folder.path()).unwrap();
        assert!(archive.has("usr/bin/tool") && archive.has("etc"));
        assert!(!archive.has("socket") && !archive.has("etc/passwd"));
        let mut bytes = Vec::new();
        archive.write(&mut bytes).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(
            text.contains("the agent") && text.contains("contents") && !text.contains("another")
        );
    }
}
