//! The programs a user would take instead, one file each. Every peer runs the same busybox from the same root or image,
//! keeps its state in the bench's folder and its processes in the bench's control group.
//!
//! A peer that is not installed or does not start is named in the report; so is one that fails later.

mod containerd;
mod images;
mod lxc;
mod oci;
mod podman;
mod sandboxes;

pub(crate) use images::{ImageStore, stores as image_stores};
pub(crate) use oci::Runtime;
pub(crate) use podman::Podman;

use super::{
    bundle::Bundles,
    command::{Line, run},
    interleave::Subject,
};

/// A peer, started: what it needs to `exec` and `run` is there.
pub(crate) trait Peer {
    /// The command that runs `words` in the container that is already there, and its name in tables; none when the peer
    /// has no such thing.
    fn exec(&self, words: &[&str]) -> Option<(&'static str, Line)>;

    /// The command that makes a container for one `/bin/true` and removes it, and its name in tables.
    fn once(&self) -> (&'static str, Line);
}

/// Makes a peer ready.
type Start = fn(&Bundles) -> Result<Box<dyn Peer>, String>;

/// Every peer, in the order of the tables.
const PEERS: &[Start] = &[
    |bundles| Ok(Box::new(Runtime::start("crun", bundles)?)),
    |bundles| Ok(Box::new(Runtime::start("runc", bundles)?)),
    |bundles| Ok(Box::new(containerd::Containerd::start(bundles)?)),
    |bundles| Ok(Box::new(Podman::start(bundles)?)),
    |bundles| Ok(Box::new(lxc::Lxc::start(bundles)?)),
    |bundles| Ok(Box::new(sandboxes::Bubblewrap::find(bundles)?)),
    |bundles| Ok(Box::new(sandboxes::Nspawn::find(bundles)?)),
];

/// What asks each peer that is installed for its version.
const VERSIONS: &[&[&str]] = &[
    &["crun", "--version"],
    &["runc", "--version"],
    &["containerd", "--version"],
    &["podman", "--version"],
    &["lxc-attach", "--version"],
    &["bwrap", "--version"],
    &["systemd-nspawn", "--version"],
    &["umoci", "--version"],
    &["skopeo", "--version"],
];

/// Makes all peers ready; those that cannot be are their reasons.
pub(crate) fn start_all(bundles: &Bundles) -> Vec<Result<Box<dyn Peer>, String>> {
    PEERS.iter().map(|start| start(bundles)).collect()
}

/// bwrap alone.
pub(crate) fn bubblewrap(bundles: &Bundles) -> Result<Box<dyn Peer>, String> {
    Ok(Box::new(sandboxes::Bubblewrap::find(bundles)?))
}

/// podman, whose containers can have networks.
pub(crate) fn podman(bundles: &Bundles) -> Result<Podman, String> {
    Podman::start(bundles)
}

/// The peers that are installed, each with its version.
pub(crate) fn versions() -> Vec<String> {
    let first_line = |words: &&[&str]| {
        let text = super::command::output(&super::command::line(words)).ok()?;
        let version = text.lines().next()?.replace("version ", "");
        // lxc says nothing but the number.
        let named = version.starts_with(|c: char| c.is_ascii_digit());
        Some(if named {
            format!("{} {version}", words[0])
        } else {
            version
        })
    };
    VERSIONS.iter().filter_map(first_line).collect()
}

impl dyn Peer {
    /// `/bin/true` in the container that is there, as a subject.
    pub(crate) fn exec_subject(&self) -> Option<Subject<'_>> {
        let (name, _) = self.exec(&["/bin/true"])?;
        let command = || self.exec(&["/bin/true"]).map(|(_, line)| line);
        Some(Subject::peer(name, move || {
            run(&command().unwrap_or_default())
        }))
    }

    /// A whole container, as a subject.
    pub(crate) fn once_subject(&self) -> Subject<'static> {
        let (name, command) = self.once();
        Subject::peer(name, move || run(&command))
    }
}

/// Runs the command that ends something of a peer's; a failure is a warning, because the bench has its results by then.
fn end(line: &[String]) {
    if let Err(error) = run(line) {
        super::warn(&error);
    }
}
