//! Paths of the host that a document names.
//!
//! A path is looked at once, by the service, through one descriptor: kind and identity are those of the same file. Code
//! that opens it again later, in other mounts or another process, makes sure that it still leads there. So a process
//! that swaps a part of the path in between (a symbolic link in place of a directory) gains a failure and nothing else.
//!
//! Symbolic links on the way are followed where they belong to root or to the service's user. In a user namespace
//! those of root belong to no id of it, as those of other users do: such a link is followed where its directory is one
//! that others cannot write to, and not in a `/tmp`. Layers and mapped directories are named by a user who is trusted
//! with the host, and may be reached through links of that user. A link of another user is refused, as that user would
//! choose what the container gets. So would a container in a directory that it may write to, or could
//! ([`hcs_wire::written`]): no link below such a directory is followed, whatever its owner is. Magic links of `/proc`
//! (`/proc/1/root`, `/proc/self/fd/3`) are not followed: where they lead is up to a process.

use std::{
    collections::VecDeque,
    os::fd::{AsFd, AsRawFd as _, OwnedFd},
    path::Path,
};

use hcs_wire::{trust::Trusted, written};
use rustix::{
    fs::{
        CWD, FileType, Mode, OFlags, ResolveFlags, Stat, Statx, fstat, fstatfs, makedev, openat,
        openat2, readlink, readlinkat,
    },
    io::Errno,
    path::Arg,
    process::geteuid,
};
use serde::{Deserialize, Serialize};

use crate::failure::{Attempt, StepError};

/// A path of the host and the property that names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Source {
    /// Absolute path on the host.
    pub(crate) path: String,
    /// JSON pointer into the document; empty where the document does not name it.
    pub(crate) pointer: String,
    /// What it led to when it was looked at; `None` for a directory of the service's own.
    pub(crate) identity: Option<Identity>,
}

/// Which file on the host something is, to tell it from any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// That of an open file.
    pub(crate) fn of(found: &Stat) -> Self {
        Self {
            device: found.st_dev,
            inode: found.st_ino,
        }
    }

    /// The same from another call.
    pub(crate) fn of_statx(found: &Statx) -> Self {
        Self {
            device: makedev(found.stx_dev_major, found.stx_dev_minor),
            inode: found.stx_ino,
        }
    }
}

impl Source {
    /// A directory that the service itself made, or will make, where no other user can write.
    pub(crate) fn own(path: String) -> Self {
        Self {
            path,
            pointer: String::new(),
            identity: None,
        }
    }

    /// The path on the host.
    pub(crate) fn path(&self) -> &Path {
        Path::new(&self.path)
    }

    /// Looks at `path`; returns what kind of file it leads to as well.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(crate) fn look(path: &str, pointer: &str) -> Result<(Self, FileType), StepError> {
        let named = |error: StepError| error.asked_by(pointer);
        let opened = reach(path, "looking for").map_err(named)?;
        let found = fstat(&opened).step_at("looking for", path).map_err(named)?;
        let source = Self {
            path: path.to_owned(),
            pointer: pointer.to_owned(),
            identity: Some(Identity::of(&found)),
        };
        Ok((source, FileType::from_raw_mode(found.st_mode)))
    }

    /// The same by the path that `path` really leads to, without links: both are those of one file, whatever changes on
    /// the way meanwhile.
    ///
    /// # Errors
    /// It cannot be opened, or its path is not UTF-8.
    pub(crate) fn look_real(path: &str, pointer: &str) -> Result<(Self, FileType), StepError> {
        let named = |error: StepError| error.asked_by(pointer);
        let step = "looking for";
        let opened = reach(path, step).map_err(named)?;
        let found = fstat(&opened).step_at(step, path).map_err(named)?;
        let magic = format!("/proc/self/fd/{}", opened.as_raw_fd());
        let real = readlink(magic, Vec::new())
            .step_at(step, path)
            .map_err(named)?;
        let real = real
            .into_string()
            .map_err(|_| Errno::ILSEQ)
            .step_at(step, path);
        let source = Self {
            path: real.map_err(named)?,
            pointer: pointer.to_owned(),
            identity: Some(Identity::of(&found)),
        };
        Ok((source, FileType::from_raw_mode(found.st_mode)))
    }

    /// Opens it again, as a mere path (`O_PATH`).
    ///
    /// # Errors
    /// It cannot be opened, or leads elsewhere by now.
    pub(crate) fn open(&self) -> Result<OwnedFd, StepError> {
        let opened = reach(&self.path, "opening").map_err(|error| error.asked_by(&self.pointer))?;
        self.is(&opened)?;
        Ok(opened)
    }

    /// Makes sure that `opened`, found by this path, is what was looked at.
    ///
    /// # Errors
    /// It is not.
    pub(crate) fn is(&self, opened: impl AsFd) -> Result<(), StepError> {
        let found = fstat(opened).step_at("examining", &*self.path)?;
        if self
            .identity
            .is_some_and(|seen| seen != Identity::of(&found))
        {
            let step = "finding again, unchanged since it was looked at,";
            let error = StepError::new(step, Errno::STALE);
            return Err(error.at(&*self.path).asked_by(&self.pointer));
        }
        Ok(())
    }
}

/// What a link of another user on the way fails at.
const FOREIGN_LINK: &str =
    "following a symbolic link that belongs to another user (name what it leads to), on the way to";

/// What a link fails at that a container may have made.
const WRITTEN_LINK: &str = "following a symbolic link in a directory that a container may write to, or could (name what it leads \
                            to), on the way to";

/// Why a path leads nowhere: the errno, and the step where that is one of the walk.
type Blocked = (Errno, Option<&'static str>);

/// Looks, with the rights of this service, at a path that a process of `user` is to open: that process follows links of
/// that user, too, and may have no right to see the marks of containers. `None`: only that user gets there, as on a
/// file system of its own.
///
/// # Errors
/// It leads nowhere, or through a link that is not followed.
pub(crate) fn look_for(
    user: u32,
    path: &str,
    pointer: &str,
) -> Result<Option<Identity>, StepError> {
    let step = "looking for";
    let trusted = match user == geteuid().as_raw() {
        true => Trusted::of_process(),
        false => Trusted::root_and(user),
    };
    let found = match open(path, trusted) {
        Err((Errno::ACCESS, None)) => return Ok(None),
        found => found.map_err(|blocked| said(blocked, step, path)),
    };
    let found = found.and_then(|opened| fstat(opened).step_at(step, path));
    found
        .map(|found| Some(Identity::of(&found)))
        .map_err(|error| error.asked_by(pointer))
}

/// Opens a path of the host as a mere path, which is `step`.
///
/// # Errors
/// It cannot be opened, or a link on the way is not followed.
pub(crate) fn reach(path: &str, step: &'static str) -> Result<OwnedFd, StepError> {
    open(path, Trusted::of_process()).map_err(|blocked| said(blocked, step, path))
}

fn said((errno, of_walk): Blocked, step: &'static str, path: &str) -> StepError {
    StepError::new(of_walk.unwrap_or(step), errno).at(path)
}

/// The same, with the errno alone. Links of `trusted` users are followed.
fn open(path: &str, trusted: Trusted) -> Result<OwnedFd, Blocked> {
    match open_plain(CWD, path, ResolveFlags::NO_SYMLINKS) {
        Err(Errno::LOOP) => Walk::to(path, trusted),
        answer => answer.map_err(|errno| (errno, None)),
    }
}

fn open_plain(
    from: impl AsFd,
    path: impl Arg + Copy,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let resolve = resolve | ResolveFlags::NO_MAGICLINKS;
    loop {
        match openat2(from.as_fd(), path, flags, Mode::empty(), resolve) {
            // Something on the way was renamed meanwhile.
            Err(Errno::AGAIN) => {}
            answer => return answer,
        }
    }
}

/// The way along a path with links, one part after the other.
struct Walk {
    /// What is left of the way.
    left: VecDeque<Vec<u8>>,
    /// Where it has come to.
    at: OwnedFd,
    links: u32,
    /// The users whose links are followed.
    trusted: Trusted,
}

impl Walk {
    /// Links that are followed on one path, as in the kernel.
    const MOST_LINKS: u32 = 40;

    fn to(path: &str, trusted: Trusted) -> Result<OwnedFd, Blocked> {
        let mut walk = Self {
            left: VecDeque::new(),
            at: Self::root().map_err(|errno| (errno, None))?,
            links: 0,
            trusted,
        };
        walk.add(path.as_bytes());
        while let Some(part) = walk.left.pop_front() {
            let link = walk.step(&part).map_err(|errno| (errno, None))?;
            if let Some(link) = link {
                walk.count(&link).map_err(|errno| (errno, None))?;
                walk.may_follow(&link)?;
                walk.follow(&link).map_err(|errno| (errno, None))?;
            }
        }
        Ok(walk.at)
    }

    fn root() -> Result<OwnedFd, Errno> {
        open_plain(CWD, "/", ResolveFlags::NO_SYMLINKS)
    }

    /// Puts the parts of `path` before what is left.
    fn add(&mut self, path: &[u8]) {
        for part in path.rsplit(|byte| *byte == b'/') {
            if !part.is_empty() && part != b"." {
                self.left.push_front(part.to_vec());
            }
        }
    }

    /// Goes to `part`, or returns the link that it is.
    fn step(&mut self, part: &[u8]) -> Result<Option<OwnedFd>, Errno> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found = openat(&self.at, part, flags, Mode::empty())?;
        if FileType::from_raw_mode(fstat(&found)?.st_mode).is_symlink() {
            return Ok(Some(found));
        }
        self.at = found;
        Ok(None)
    }

    /// Whether root or the user has made the link, in the directory that the walk has come to.
    fn may_follow(&self, link: &OwnedFd) -> Result<(), Blocked> {
        let plain = |errno| (errno, None);
        let owner = fstat(link).map_err(plain)?.st_uid;
        let directory = fstat(&self.at).map_err(plain)?.st_mode;
        if !self.trusted.owns_in(owner, directory) {
            return Err((Errno::PERM, Some(FOREIGN_LINK)));
        }
        match written::is_within(self.at.as_fd()).map_err(plain)? {
            true => Err((Errno::PERM, Some(WRITTEN_LINK))),
            false => Ok(()),
        }
    }

    /// One more link, which is no magic one.
    fn count(&mut self, link: &OwnedFd) -> Result<(), Errno> {
        self.links += 1;
        let magic = fstatfs(link)?.f_type == libc::PROC_SUPER_MAGIC;
        match self.links > Self::MOST_LINKS || magic {
            true => Err(Errno::LOOP),
            false => Ok(()),
        }
    }

    fn follow(&mut self, link: &OwnedFd) -> Result<(), Errno> {
        let target = readlinkat(link, "", Vec::new())?;
        if target.as_bytes().starts_with(b"/") {
            self.at = Self::root()?;
        }
        self.add(target.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{lchown, symlink},
        sync::atomic::{AtomicBool, Ordering},
    };

    use super::*;

    #[test]
    fn a_path_that_leads_elsewhere_by_now_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
        fs::create_dir(path("real")).unwrap();
        fs::create_dir(path("secret")).unwrap();
        symlink("real", path("link")).unwrap();
        let (source, kind) = Source::look(&path("link"), "/A").unwrap();
        assert!(kind.is_dir());
        source.open().unwrap();
        fs::remove_file(path("link")).unwrap();
        symlink("secret", path("link")).unwrap();
        let error = source.open().unwrap_err();
        assert_eq!(
            (error.errno, error.pointer.as_deref()),
            (Errno::STALE, Some("/A"))
        );
    }

    #[test]
    fn links_of_root_are_followed_and_those_of_others_are_not() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
        fs::create_dir_all(path("real/below")).unwrap();
        symlink("real/../real/./below", path("relative")).unwrap();
        symlink(path("relative"), path("absolute")).unwrap();
        let identity =
            |name: &str| Source::look(&path(name), "/A").map(|(found, _)| found.identity);
        let expected = identity("real/below").unwrap();
        for name in ["relative", "absolute", "absolute/../below/"] {
            assert_eq!(identity(name).unwrap(), expected, "{name}");
        }
        let (real, _) = Source::look_real(&path("absolute"), "/A").unwrap();
        assert_eq!(real.path, path("real/below"));
        lchown(path("relative"), Some(4242), Some(4242)).unwrap();
        for name in ["relative", "absolute"] {
            let error = identity(name).unwrap_err();
            assert_eq!(
                (error.errno, &*error.step),
                (Errno::PERM, FOREIGN_LINK),
                "{name}"
            );
        }
        symlink("circle", path("circle")).unwrap();
        assert_eq!(identity("circle").unwrap_err().errno, Errno::LOOP);
        assert_eq!(identity("missing").unwrap_err().errno, Errno::NOENT);
    }

    #[test]
    fn links_that_a_container_may_have_made_are_not_followed() {
        let place = tempfile::tempdir_in("/var/tmp").unwrap();
        let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
        fs::create_dir_all(path("tree/real/below")).unwrap();
        symlink("real", path("tree/link")).unwrap();
        symlink("tree", path("outside")).unwrap();
        let look = |name: &str| Source::look(&path(name), "/A");
        look("tree/link/below").unwrap();
        let tree = reach(&path("tree"), "opening").unwrap();
        let is_root = geteuid().is_root();
        if !written::mark(tree.as_fd(), is_root).unwrap() {
            // No mark is kept there, or this user has no right to set one.
            return;
        }
        for name in ["tree/link", "tree/link/below", "outside/real/../link/below"] {
            let error = look(name).unwrap_err();
            assert_eq!(
                (error.errno, &*error.step),
                (Errno::PERM, WRITTEN_LINK),
                "{name}"
            );
        }
        // The tree itself, what is in it, and links that lead there from elsewhere.
        for name in ["tree/real/below", "outside/real", "outside"] {
            look(name).unwrap();
        }
    }

    /// Row K13. As root, which may follow the links of others for them.
    #[test]
    fn what_another_process_is_to_open_is_looked_at_for_its_user() {
        if !geteuid().is_root() {
            return;
        }
        let place = tempfile::tempdir_in("/var/tmp").unwrap();
        let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
        fs::create_dir_all(path("tree/real")).unwrap();
        for name in ["link", "tree/link"] {
            symlink(path("tree/real"), path(name)).unwrap();
            lchown(path(name), Some(4242), Some(4242)).unwrap();
        }
        let look = |user, name: &str| look_for(user, &path(name), "/A");
        let real = look(0, "tree/real").unwrap();
        assert!(real.is_some());
        assert_eq!(look(4242, "link").unwrap(), real);
        for user in [0, 4243] {
            assert_eq!(look(user, "link").unwrap_err().step, FOREIGN_LINK);
        }
        let tree = reach(&path("tree"), "opening").unwrap();
        if !written::mark(tree.as_fd(), true).unwrap() {
            return;
        }
        let own = format!("/proc/self/fd/{}", tree.as_raw_fd());
        // What a container with AllowSetId may take away.
        let _gone = rustix::fs::removexattr(own, written::OWN);
        assert_eq!(look(4242, "link").unwrap(), real);
        assert_eq!(look(4242, "tree/link").unwrap_err().step, WRITTEN_LINK);
    }

    #[test]
    fn magic_links_lead_nowhere() {
        let error = Source::look("/proc/self/root/etc", "").unwrap_err();
        assert_eq!(error.errno, Errno::LOOP);
    }

    /// A thread swaps a link between two directories as fast as possible: whatever is opened is what was looked at.
    #[test]
    fn a_racing_swapper_gains_nothing() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        for name in ["real", "secret"] {
            fs::create_dir(path(name)).unwrap();
        }
        symlink("real", path("link")).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut targets = ["secret", "real"].iter().cycle();
                while !done.load(Ordering::Relaxed) {
                    symlink(targets.next().unwrap(), path("new")).unwrap();
                    fs::rename(path("new"), path("link")).unwrap();
                }
            });
            let link = path("link");
            for _ in 0..2000 {
                let (source, _) = Source::look(link.to_str().unwrap(), "").unwrap();
                match source.open() {
                    Ok(opened) => {
                        let found = Identity::of(&fstat(&opened).unwrap());
                        assert_eq!(Some(found), source.identity);
                    }
                    Err(error) => assert_eq!(error.errno, Errno::STALE),
                }
            }
            done.store(true, Ordering::Relaxed);
        });
    }
}
