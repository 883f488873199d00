//! podman with its own store, whose image comes from a file; no network.

use super::{ImageStore, Peer, end};
use crate::bench::{
    bundle::Bundles,
    command::{Line, line, require, run},
    image,
};

const IDLE: &str = "bench-idle";

/// podman with an idle container.
#[derive(Debug)]
pub(crate) struct Podman {
    folder: String,
    cgroup: String,
}

impl Podman {
    /// Loads the image and starts the idle container.
    pub(super) fn start(bundles: &Bundles) -> Result<Self, String> {
        require("podman", "podman")?;
        let podman = Self {
            folder: bundles.state("podman")?.display().to_string(),
            cgroup: bundles.cgroup("podman"),
        };
        run(&podman.command(&["load", "-q", "-i", &bundles.image()?]))?;
        let mut command = podman.container(&["run", "-d", "--name", IDLE]);
        command.extend(line(&[image::NAME, "/bin/sleep", "100000"]));
        run(&command)?;
        Ok(podman)
    }

    /// A store without anything in it.
    pub(super) fn store(bundles: &Bundles, archive: &str) -> Result<PodmanStore, String> {
        require("podman", "podman")?;
        let podman = Self {
            folder: bundles.state("podman-images")?.display().to_string(),
            cgroup: bundles.cgroup("podman"),
        };
        let archive = archive.to_owned();
        Ok(PodmanStore { podman, archive })
    }

    fn command(&self, words: &[&str]) -> Line {
        let folder = &self.folder;
        let mut command = line(&["podman", "--cgroup-manager", "cgroupfs"]);
        command.extend(line(&["--events-backend", "none"]));
        for (option, place) in [("root", "root"), ("runroot", "run"), ("tmpdir", "tmp")] {
            command.push(format!("--{option}={folder}/{place}"));
        }
        command.extend(line(words));
        command
    }

    /// A command that makes a container; its limits are stated because the usual ones need a capability to raise.
    fn container(&self, words: &[&str]) -> Line {
        let mut command = self.command(words);
        command.extend(line(&["--network", "none"]));
        self.limited(command)
    }

    fn limited(&self, mut command: Line) -> Line {
        command.extend(line(&["--cgroup-parent", &self.cgroup]));
        command.extend(line(&["--ulimit", "nofile=1024:1024"]));
        command.extend(line(&["--ulimit", "nproc=1024:1024"]));
        command
    }
}

impl Podman {
    /// Commands that make a container for one `/bin/true`, by their names in tables: without a network, and in one.
    pub(crate) fn networked(&self) -> [(&'static str, Line); 3] {
        let once = |options: &[&str]| {
            let mut command = self.command(&["run", "--rm"]);
            command.extend(line(options));
            let mut command = self.limited(command);
            command.extend(line(&[image::NAME, "/bin/true"]));
            command
        };
        let bridge = ["--network", "podman"];
        [
            ("podman run", once(&["--network", "none"])),
            ("podman run --network podman", once(&bridge)),
            (
                "podman run -p 8081:80",
                once(&[&bridge[..], &["-p", "8081:80"]].concat()),
            ),
        ]
    }
}

impl Peer for Podman {
    fn exec(&self, words: &[&str]) -> Option<(&'static str, Line)> {
        let mut command = self.command(&["exec", IDLE]);
        command.extend(line(words));
        Some(("podman exec", command))
    }

    fn once(&self) -> (&'static str, Line) {
        let mut command = self.container(&["run", "--rm"]);
        command.extend(line(&[image::NAME, "/bin/true"]));
        ("podman run", command)
    }
}

/// podman's store alone.
pub(super) struct PodmanStore {
    podman: Podman,
    archive: String,
}

impl ImageStore for PodmanStore {
    fn name(&self) -> &'static str {
        "podman load"
    }

    fn empty(&self) -> Result<(), String> {
        run(&self.podman.command(&["rmi", "--all", "--force"]))
    }

    fn load(&self) -> Line {
        self.podman.command(&["load", "-q", "-i", &self.archive])
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        end(&self.command(&["rm", "-f", "-t", "0", IDLE]));
    }
}
