//! Paths of the host that a document names.
//!
//! A path is looked at once, by the service, through one descriptor: kind and identity are those of the same file. Who
//! opens it again later, in other mounts or another process, makes sure that it still leads there. So a process that
//! swaps a part of the path in between (a symbolic link in place of a directory) gains a failure and nothing else.
//!
//! Symbolic links on the way are followed: layers and mapped directories are named by who is trusted with the host, and
//! may well be reached through links of theirs. Magic links of `/proc` (`/proc/1/root`, `/proc/self/fd/3`) are not: where
//! they lead is up to a process.

use std::os::fd::{AsFd, OwnedFd};

use rustix::{
    fs::{CWD, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat2},
    io::Errno,
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
pub(crate) struct Identity {
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

    /// Looks at `path`; answers what kind of file it leads to as well.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(crate) fn look(path: &str, pointer: &str) -> Result<(Self, FileType), StepError> {
        let found = open(path)
            .and_then(fstat)
            .step_at("looking for", path)
            .map_err(|error| error.asked_by(pointer))?;
        let source = Self {
            path: path.to_owned(),
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
        let opened = open(&self.path)
            .step_at("opening", &*self.path)
            .map_err(|error| error.asked_by(&self.pointer))?;
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

/// Opens a path of the host as a mere path.
fn open(path: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    loop {
        match openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS) {
            // Something on the way was renamed meanwhile.
            Err(Errno::AGAIN) => {}
            answer => return answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::symlink,
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
