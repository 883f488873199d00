//! The private surroundings of one test run.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    Repository, Result,
    packages::{debian, dotnet, kernel},
};

const CONFIG: &str = "hcsd.toml";

/// A directory with the endpoint and the temporary files of this run.
#[derive(Debug)]
pub(super) struct Sandbox {
    root: PathBuf,
    service: PathBuf,
    kernel: PathBuf,
    full_kernel: PathBuf,
    /// The program `dotnet`, if it is there.
    dotnet: PathBuf,
    /// The archive of a Debian root file system, if there is one.
    debian: Option<PathBuf>,
}

impl Sandbox {
    /// Makes the directory.
    ///
    /// # Errors
    /// It exists already or cannot be made.
    pub(super) fn new(repository: &Repository) -> Result<Self> {
        let root = env::temp_dir().join(format!("hcs-test-run-{}", std::process::id()));
        fs::create_dir(&root)
            .and_then(|()| fs::create_dir(root.join("tmp")))
            .and_then(|()| fs::write(root.join(CONFIG), "default_network = \"none\"\n"))
            .map_err(|error| format!("{} cannot be made: {error}", root.display()))?;
        Ok(Self {
            root,
            service: repository.target.join("debug/hcsd"),
            kernel: kernel::provide(repository)?,
            full_kernel: kernel::provide_full(repository)?,
            dotnet: dotnet::place(repository),
            debian: debian::place(repository),
        })
    }

    /// Lets `command` find this run's service, endpoint and temporary directory, and a kernel for virtual machines.
    pub(super) fn apply(&self, command: &mut Command) {
        command
            .env("HCS_DAEMON", &self.service)
            .env("HCS_ENDPOINT", self.root.join("hcs.sock"))
            .env("TMPDIR", self.temporary())
            .env("HCS_CONFIG", self.config())
            .env(kernel::VARIABLE, &self.kernel)
            .env(kernel::FULL_VARIABLE, &self.full_kernel)
            .env(dotnet::VARIABLE, &self.dotnet);
        if let Some(debian) = &self.debian {
            command.env(debian::VARIABLE, debian);
        }
    }

    /// A configuration that says nearly nothing: that of this machine must not matter, and no test makes a network here
    /// that it does not ask for.
    pub(crate) fn config(&self) -> PathBuf {
        self.root.join(CONFIG)
    }

    /// Where the tests' temporary files go.
    pub(super) fn temporary(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// Everything of this run is below.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Where the run's service keeps its state; there only if a service was started.
    pub(super) fn state(&self) -> PathBuf {
        self.root.join("hcs.d")
    }

    /// Removes the directory. What was left in it has been reported.
    ///
    /// # Errors
    /// It cannot be removed.
    pub(super) fn remove(self) -> Result<()> {
        fs::remove_dir_all(&self.root)
            .map_err(|error| format!("{} cannot be removed: {error}", self.root.display()).into())
    }
}
