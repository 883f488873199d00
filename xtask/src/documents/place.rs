//! Where the session of a document runs: nothing of it is the machine's, and all of it goes away.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};
use tempfile::TempDir;

use crate::{Repository, install};

/// Directories of a session.
#[derive(Debug)]
pub(super) struct Place<'a> {
    repository: &'a Repository,
    folder: TempDir,
    /// Whether something of the document is run; else nothing has to be installed for it.
    runs: bool,
}

impl<'a> Place<'a> {
    /// Makes the directories. The checkout has what the repository has, by links, but not what was built there.
    /// Where no command `runs`, nothing is installed.
    pub(super) fn new(repository: &'a Repository, runs: bool) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("hcs-documents-")
            .tempdir()
            .unwrap();
        let place = Self {
            repository,
            folder,
            runs,
        };
        for name in ["checkout", "home", "tmp"] {
            fs::create_dir(place.at(name)).unwrap();
        }
        // The service of a session leaves soon after the session.
        // A session leaves no network on this machine but one that it makes and removes by name.
        let text = "default_network = \"none\"\n[times]\nidle_seconds = 1\n";
        fs::write(place.at("hcsd.toml"), text).unwrap();
        let tops = repository
            .files
            .iter()
            .filter_map(|file| file.split('/').next());
        let tops: BTreeSet<&str> = tops.collect();
        for top in tops {
            symlink(repository.root.join(top), place.checkout().join(top)).unwrap();
        }
        place
    }

    /// The repository that the checkout shows.
    pub(super) fn repository(&self) -> &Repository {
        self.repository
    }

    /// Where the session begins.
    pub(super) fn checkout(&self) -> PathBuf {
        self.at("checkout")
    }

    /// The environment of the session. It has the paths that a user gives after `cargo xtask install --prefix`, and
    /// none of the variables by which tests find what they test.
    pub(super) fn environment(&self) -> Vec<(&'static str, OsString)> {
        let library = self.prefix().join("lib");
        let mut path = self.prefix().join("bin").into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        vec![
            ("PATH", path),
            ("LD_LIBRARY_PATH", library.clone().into()),
            ("PKG_CONFIG_PATH", library.join("pkgconfig").into()),
            ("HCS_ENDPOINT", self.at("hcs.sock").into()),
            ("HCS_CONFIG", self.at("hcsd.toml").into()),
            ("HOME", self.at("home").into()),
            ("TMPDIR", self.at("tmp").into()),
            ("LC_ALL", "C.UTF-8".into()),
            // Of the links of the checkout some are followed: nothing is written there, and nothing is fetched.
            ("PYTHONDONTWRITEBYTECODE", "1".into()),
            ("GOENV", "off".into()),
            ("GOPROXY", "off".into()),
            ("GOTOOLCHAIN", "local".into()),
        ]
    }

    /// Places what is built for the tests where `cargo xtask install` would place the release.
    ///
    /// # Errors
    /// It is not built.
    pub(super) fn install(&self) -> Result<(), String> {
        if !self.runs {
            return Ok(());
        }
        let built = self.repository.target.join("debug");
        install::place(self.repository, &built, &self.prefix(), Path::new("/"))
            .map_err(|error| format!("{error} (cargo build --workspace)"))
    }

    /// Whether a service was started.
    pub(super) fn has_met_a_service(&self) -> bool {
        self.at("hcs.d").exists()
    }

    /// Waits until the programs of the session have left, its service among them, and removes the directories; what the
    /// session has left behind.
    pub(super) fn leave(self, patience: Duration) -> Vec<String> {
        let folder = self.folder.path().to_owned();
        let mut left = processes(&folder, patience);
        for kept in ["tmp", "hcs.d/systems", "hcs.d/scratch", "hcs.d/slots"] {
            for entry in fs::read_dir(self.at(kept)).into_iter().flatten().flatten() {
                left.push(format!("{kept}/{}", entry.file_name().to_string_lossy()));
            }
        }
        left.extend(mounts(&folder));
        self.folder.close().unwrap();
        left
    }

    fn prefix(&self) -> PathBuf {
        self.at("prefix")
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Mounts below `folder`.
fn mounts(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let points = text.lines().filter_map(|line| line.split(' ').nth(4));
    points
        .filter(|point| Path::new(point).starts_with(folder))
        .map(|point| format!("a mount at {point}"))
        .collect()
}

/// Processes that run a program of `folder`, or in a directory of it, and do not end within `patience`. They are
/// killed.
fn processes(folder: &Path, patience: Duration) -> Vec<String> {
    let all = fs::read_dir("/proc").unwrap().flatten();
    let numbered = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbered
        .filter_map(|number| stays(number, folder, patience))
        .collect()
}

/// What to say of a process that stays.
fn stays(number: i32, folder: &Path, patience: Duration) -> Option<String> {
    // Whatever fails here does so because the process is gone.
    let process = pidfd_open(Pid::from_raw(number)?, PidfdFlags::empty()).ok()?;
    let link = |name| fs::read_link(format!("/proc/{number}/{name}")).ok();
    let mut links = ["exe", "cwd"].into_iter().filter_map(link);
    let used = links.find(|path| path.starts_with(folder))?;
    let name = fs::read_to_string(format!("/proc/{number}/comm")).unwrap_or_default();
    let patience = Timespec::try_from(patience).unwrap();
    let ended = || poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&patience)).unwrap() > 0;
    if ended() {
        return None;
    }
    pidfd_send_signal(&process, Signal::KILL).unwrap();
    Some(format!(
        "process {number} ({}), of {}",
        name.trim(),
        used.display()
    ))
}
