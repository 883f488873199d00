//! Where the files of a stream go: the rules of `cp`, decided by what is there before anything is made.
//!
//! | there | a file comes | a directory comes | the content of one comes (`dir/.`) |
//! |---|---|---|---|
//! | a directory | into it | into it, joined with one of its name | into it |
//! | a file | in its place | refused | refused |
//! | nothing, but the directory for it | by this name | by this name | as a directory of this name |
//!
//! A symbolic link counts as what it leads to. From a hostile side nothing comes where a link leads, unless a slash
//! ends the path: an earlier copy of the same name may have made the link.

use std::{
    ffi::OsString,
    fs, io,
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Mode, OFlags, open},
    io::Errno,
};

use crate::{ArchiveError, Entry, Kind, below::Below, name::top_name};

/// What is unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A copy of one file or directory, which goes to the path as `cp` does it.
    Copy {
        /// What the copy has to be called in the stream: `Some(None)` is the content of a directory. Without it the
        /// first entry says so. From a hostile side it has to be given: only then a stream reaches no file beside the
        /// copy.
        expected: Option<Option<OsString>>,
    },
    /// Any archive, into a directory that is there.
    Into,
}

/// A place for files.
#[derive(Debug)]
pub(crate) struct Destination {
    /// What paths begin at.
    pub(crate) below: Below,
    /// What was named, for messages.
    shown: PathBuf,
    /// What the copy is called there; `None` for the name that it has.
    renamed: Option<OsString>,
    /// Whether a file is there already.
    replaces_file: bool,
    top: Top,
}

/// What all entries have to begin with.
#[derive(Debug)]
enum Top {
    /// Nothing.
    Any,
    /// This, which the first entry has to be.
    Expected(Option<OsString>),
    /// What the first entry says.
    Unknown,
    /// The name of the copy; `None` for the content of a directory.
    Known(Option<OsString>),
}

impl Destination {
    /// Looks what is at `path`. Links on the way are followed: it is the caller's.
    pub(crate) fn find(path: &Path, target: Target) -> Result<Self, ArchiveError> {
        if matches!(target, Target::Copy { expected: Some(_) }) {
            refuse_link(path)?;
        }
        let into = target == Target::Into;
        let top = match target {
            Target::Into => Top::Any,
            Target::Copy { expected: None } => Top::Unknown,
            Target::Copy {
                expected: Some(name),
            } => Top::Expected(name),
        };
        let (root, renamed, replaces_file) = match directory(path) {
            Ok(root) => (root, None, false),
            Err(Errno::NOENT | Errno::NOTDIR) if into => {
                let message = format!(
                    "{} is not a directory; an archive is unpacked into one",
                    path.display()
                );
                return Err(ArchiveError::Refused(message));
            }
            Err(Errno::NOENT | Errno::NOTDIR) => missing(path)?,
            Err(errno) => return Err(ArchiveError::file(path, "cannot be opened", errno)),
        };
        Ok(Self {
            below: Below::new(root),
            shown: path.to_owned(),
            renamed,
            replaces_file,
            top,
        })
    }

    /// Where `entry` goes, below the directory; empty for the directory itself.
    pub(crate) fn place(&mut self, entry: &Entry) -> Result<PathBuf, ArchiveError> {
        let expected = match &self.top {
            Top::Any | Top::Known(_) => return self.map(&entry.path),
            Top::Unknown => None,
            Top::Expected(name) => Some(name.clone()),
        };
        let mut parts = entry.path.iter();
        let name = parts.next().map(ToOwned::to_owned);
        if parts.next().is_some() || expected.is_some_and(|expected| expected != name) {
            return Err(self.unexpected(&entry.path));
        }
        let directory = entry.kind == Kind::Directory;
        if name.is_none() && !directory {
            return Err(self.unexpected(&entry.path));
        }
        let shown = self.shown.display();
        if directory && self.replaces_file {
            let message = format!("{shown} is a file; a directory cannot take its place");
            return Err(ArchiveError::Refused(message));
        }
        if !directory && self.renamed.is_some() && ends_with_slash(&self.shown) {
            let message = format!(
                "{shown} is not a directory; leave out the slash to make a file of this name"
            );
            return Err(ArchiveError::Refused(message));
        }
        self.top = Top::Known(name);
        self.map(&entry.path)
    }

    /// Where `path` of the stream is; also the first name of a hard link.
    pub(crate) fn map(&self, path: &Path) -> Result<PathBuf, ArchiveError> {
        let (base, rest) = match &self.top {
            Top::Any => return Ok(path.to_owned()),
            Top::Known(None) => (self.renamed.as_ref(), path),
            Top::Known(Some(name)) => {
                let rest = path.strip_prefix(name).map_err(|_| self.unexpected(path))?;
                (self.renamed.as_ref().or(Some(name)), rest)
            }
            Top::Expected(_) | Top::Unknown => return Err(self.unexpected(path)),
        };
        let mut mapped = PathBuf::new();
        mapped.extend(base);
        mapped.extend(rest);
        Ok(mapped)
    }

    fn unexpected(&self, path: &Path) -> ArchiveError {
        let message = format!(
            "the archive names {:?}, which is not part of what was asked for; nothing more is unpacked to {}",
            path,
            self.shown.display()
        );
        ArchiveError::Refused(message)
    }
}

/// Refuses a symbolic link: a hostile side that has made it by an earlier copy would choose where this one goes. With a
/// slash behind it, the caller means the directory that it leads to.
fn refuse_link(path: &Path) -> Result<(), ArchiveError> {
    let is_link = fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
    // To a device or a pipe nothing is copied in any case.
    let is_special = fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir());
    if !is_link || is_special || ends_with_slash(path) {
        return Ok(());
    }
    let shown = path.display();
    let message = format!(
        "{shown} is a symbolic link, which an earlier copy may have made, so nothing is copied to where it leads: \
         {shown}/ names the directory that it leads to; else remove it"
    );
    Err(ArchiveError::Refused(message))
}

fn directory(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    open(path, flags, Mode::empty())
}

fn ends_with_slash(path: &Path) -> bool {
    path.as_os_str().as_bytes().ends_with(b"/")
}

/// For a `path` that is no directory: the one that it is in, the name there, and whether that is a file.
fn missing(path: &Path) -> Result<(OwnedFd, Option<OsString>, bool), ArchiveError> {
    let (real, file) = match fs::metadata(path) {
        // A device would be removed, and a pipe would not be written to.
        Ok(found) if !found.is_file() => {
            let message = format!(
                "{} is neither a file nor a directory; nothing takes its place",
                path.display()
            );
            return Err(ArchiveError::Refused(message));
        }
        Ok(_) => {
            let real = fs::canonicalize(path);
            let real =
                real.map_err(|error| ArchiveError::file(path, "cannot be resolved", error))?;
            (real, true)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => (path.to_owned(), false),
        Err(error) => return Err(ArchiveError::file(path, "cannot be looked at", error)),
    };
    let none = || ArchiveError::file(path, "cannot be made", Errno::NOENT);
    let name = top_name(&real).ok_or_else(none)?;
    let parent = match real.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let root = directory(parent);
    let root =
        root.map_err(|errno| ArchiveError::file(parent, "is no directory to copy to", errno))?;
    if !file && fs::symlink_metadata(parent.join(&name)).is_ok() {
        let message = format!("{} is a symbolic link to nothing", path.display());
        return Err(ArchiveError::Refused(message));
    }
    Ok((root, Some(name), file))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, kind: Kind) -> Entry {
        Entry {
            path: path.into(),
            kind,
            size: 0,
            mode: 0,
            uid: 0,
            gid: 0,
            modified: 0,
        }
    }

    fn copy() -> Target {
        Target::Copy { expected: None }
    }

    /// A directory with a directory, a file, and links to both and to nothing.
    fn scene() -> tempfile::TempDir {
        let scene = tempfile::tempdir().unwrap();
        fs::create_dir(scene.path().join("dir")).unwrap();
        fs::write(scene.path().join("file"), "old").unwrap();
        for (name, to) in [("to-dir", "dir"), ("to-file", "file"), ("broken", "none")] {
            std::os::unix::fs::symlink(to, scene.path().join(name)).unwrap();
        }
        scene
    }

    /// Where `first` and then `second` go when copied to `to`, a path below the scene.
    fn places(to: &str, first: (&str, Kind), second: &str) -> Result<(String, String), String> {
        let scene = scene();
        let found = Destination::find(&scene.path().join(to), copy());
        let mut found = found.map_err(|error| error.to_string())?;
        let mut place = |entry: &Entry| {
            let placed = found.place(entry).map_err(|error| error.to_string())?;
            Ok::<_, String>(placed.to_str().unwrap().to_owned())
        };
        let first = place(&entry(first.0, first.1))?;
        Ok((first, place(&entry(second, Kind::File))?))
    }

    #[test]
    fn copies_go_where_cp_puts_them() {
        use Kind::{Directory, File};
        for (to, first, second, expected) in [
            ("dir", ("x", File), "x", ("x", "x")),
            ("dir/", ("x", Directory), "x/y", ("x", "x/y")),
            ("to-dir", ("x", Directory), "x/y", ("x", "x/y")),
            ("dir", ("", Directory), "y", ("", "y")),
            ("file", ("x", File), "x", ("file", "file")),
            ("to-file", ("x", File), "x", ("file", "file")),
            ("new", ("x", File), "x", ("new", "new")),
            ("new", ("x", Directory), "x/y", ("new", "new/y")),
            ("new/", ("x", Directory), "x/y", ("new", "new/y")),
            ("new", ("", Directory), "y", ("new", "new/y")),
        ] {
            let found = places(to, first.clone(), second).unwrap();
            assert_eq!(
                (found.0.as_str(), found.1.as_str()),
                expected,
                "{to} {first:?}"
            );
        }
    }

    #[test]
    fn what_cp_refuses_is_refused() {
        use Kind::{Directory, File};
        for (to, first, second) in [
            ("file", ("x", Directory), "x/y"),
            ("file", ("", Directory), "y"),
            ("file/", ("x", File), "x"),
            ("new/", ("x", File), "x"),
            ("none/new", ("x", File), "x"),
            ("broken", ("x", File), "x"),
            ("/dev/null", ("x", File), "x"),
            ("dir", ("x/y", File), "x/y"),
            ("dir", ("", File), ""),
            ("dir", ("x", Directory), "y"),
            ("new", ("x", Directory), "y"),
        ] {
            assert!(places(to, first.clone(), second).is_err(), "{to} {first:?}");
        }
    }

    #[test]
    fn a_link_that_an_earlier_copy_may_have_made_leads_no_later_one() {
        let scene = scene();
        let find = |to: &str| {
            let expected = Some(Some("x".into()));
            Destination::find(&scene.path().join(to), Target::Copy { expected })
        };
        for link in ["to-dir", "to-file", "broken"] {
            let refused = find(link).unwrap_err().to_string();
            assert!(refused.contains("is a symbolic link"), "{refused}");
        }
        let mut named = find("to-dir/").unwrap();
        let placed = named.place(&entry("x", Kind::File)).unwrap();
        assert_eq!(placed, Path::new("x"));
        for plain in ["dir", "file", "new", "to-dir/."] {
            assert!(find(plain).is_ok(), "{plain}");
        }
    }

    #[test]
    fn a_stream_makes_what_was_asked_for_and_nothing_beside_it() {
        let scene = scene();
        let expected = Some(Some("wanted".into()));
        let target = Target::Copy { expected };
        let mut found = Destination::find(scene.path(), target).unwrap();
        let refused = found.place(&entry(".bashrc", Kind::File)).unwrap_err();
        assert!(refused.to_string().contains(".bashrc"), "{refused}");
        assert!(found.place(&entry("", Kind::Directory)).is_err());
        found.place(&entry("wanted", Kind::Directory)).unwrap();
        assert!(found.place(&entry("wanted/x", Kind::File)).is_ok());
        assert!(found.place(&entry("file", Kind::File)).is_err());
        assert!(found.map(Path::new("file")).is_err());
    }

    #[test]
    fn an_archive_needs_a_directory_and_may_name_anything_below() {
        let scene = scene();
        assert!(Destination::find(&scene.path().join("new"), Target::Into).is_err());
        assert!(Destination::find(&scene.path().join("file"), Target::Into).is_err());
        let mut found = Destination::find(scene.path(), Target::Into).unwrap();
        let placed = found.place(&entry("a/b", Kind::File)).unwrap();
        assert_eq!(placed, Path::new("a/b"));
    }
}
