//! bwrap and systemd-nspawn: a new sandbox for each program, nothing to exec into.

use super::Peer;
use crate::bench::{
    bundle::Bundles,
    command::{Line, line, require, run},
};

/// bwrap: namespaces without control groups and without state.
#[derive(Debug)]
pub(super) struct Bubblewrap {
    root: String,
}

impl Bubblewrap {
    /// Finds it and tries it.
    pub(super) fn find(bundles: &Bundles) -> Result<Self, String> {
        require("bwrap", "bubblewrap")?;
        let peer = Self {
            root: bundles.root_text(),
        };
        run(&peer.once().1)?;
        Ok(peer)
    }
}

impl Peer for Bubblewrap {
    fn exec(&self, _words: &[&str]) -> Option<(&'static str, Line)> {
        None
    }

    fn once(&self) -> (&'static str, Line) {
        let mut command = line(&["bwrap", "--unshare-all", "--ro-bind", &self.root, "/"]);
        command.extend(line(&["--proc", "/proc", "--dev", "/dev", "/bin/true"]));
        ("bwrap", command)
    }
}

/// systemd-nspawn without systemd: not registered, in a control group of its caller's.
#[derive(Debug)]
pub(super) struct Nspawn {
    root: String,
}

impl Nspawn {
    /// Finds it and tries it.
    pub(super) fn find(bundles: &Bundles) -> Result<Self, String> {
        require("systemd-nspawn", "systemd-container")?;
        let peer = Self {
            root: bundles.root_text(),
        };
        run(&peer.once().1)?;
        Ok(peer)
    }
}

impl Peer for Nspawn {
    fn exec(&self, _words: &[&str]) -> Option<(&'static str, Line)> {
        None
    }

    fn once(&self) -> (&'static str, Line) {
        let mut command = line(&["systemd-nspawn", "--quiet", "--register=no", "--keep-unit"]);
        command.extend(line(&["--private-network", "--pipe", "--read-only"]));
        command.extend(line(&["--resolv-conf=off", "--timezone=off"]));
        command.extend(line(&["--link-journal=no", "--directory", &self.root]));
        command.push("/bin/true".to_owned());
        ("systemd-nspawn", command)
    }
}
