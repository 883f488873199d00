//! What a child is told about its container.

use std::{ops::RangeInclusive, path::Path};

use hcs_schema::privileges::Privileges;
use serde::{Deserialize, Serialize};

use crate::source::Source;

/// What a child is told before it knows what it is to be: that it is in its control groups and has its ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EarlySpec {
    /// Its control groups of version 1 that it is to see.
    pub(crate) groups: Vec<GroupSpec>,
    /// Whether it has a user namespace, whose mounts of the host come with its specification.
    pub(crate) user: bool,
    /// Whether a file comes with this that the container keeps open: that of its ids.
    pub(crate) claimed: bool,
}

/// A container, as far as the child makes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LaunchSpec {
    /// Name of the UTS namespace.
    pub(crate) hostname: String,
    /// Whether who connects to its agent has to prove that it is no process of a container ([`hcs_wire::proof`]).
    #[serde(default)]
    pub(crate) proof: bool,
    /// Whether device nodes in its root work: only where it may make some, and the host says which of them it may use.
    /// For a process of the host, whose user has a process in the container, they would work without such rules: it
    /// reaches them by `/proc/PID/root`.
    pub(crate) trusts_nodes: bool,
    /// Whether files that it makes in something mapped must give no power on the host ([`crate::parts::sharing`]).
    pub(crate) guarded: bool,
    /// Its files of names, if it gets some of its own.
    pub(crate) names: Option<NamesSpec>,
    /// Its control groups of version 1 that it is to see.
    pub(crate) groups: Vec<GroupSpec>,
    /// Its root file system.
    pub(crate) root: RootSpec,
    /// What of the host is to be seen in it, in the order to be mounted.
    pub(crate) mapped: Vec<MappedSpec>,
    /// Its directories in memory, in the order to be mounted.
    #[serde(default)]
    pub(crate) temporary: Vec<TemporarySpec>,
    /// Its volumes, in the order to be mounted.
    #[serde(default)]
    pub(crate) volumes: Vec<VolumeSpec>,
    /// The most megabytes of its shared memory, where that is not the usual.
    #[serde(default)]
    pub(crate) shared_memory: Option<u64>,
    /// Its user namespace, if it has one.
    pub(crate) user: Option<UserSpec>,
    /// What its processes get.
    pub(crate) privileges: Privileges,
    /// The AppArmor profile of its processes.
    #[serde(default)]
    pub(crate) profile: Option<String>,
}

/// A user namespace, of which the child has the ids by the time it reads this.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UserSpec {
    /// Whether it has more ids than root's, and groups may be set.
    pub(crate) many: bool,
    /// Whether mounts of the host come with this, made by a service that may: layers, scratch, the parts below, the
    /// tree of the view, what covers it, what is mapped, in this order. Otherwise the child opens the paths itself.
    pub(crate) handed: bool,
    /// File systems of their own that belong to the view of the host's root.
    pub(crate) parts: Vec<String>,
}

/// What is in the files by which programs find names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NamesSpec {
    /// Name of the container.
    pub(crate) hostname: String,
    /// Text of `/etc/resolv.conf`; without one the layers' stays.
    pub(crate) resolver: Option<String>,
    /// Further lines of `/etc/hosts`.
    #[serde(default)]
    pub(crate) hosts: String,
    /// Whether the names of a network go into `/etc/hosts`, as they come and go.
    #[serde(default)]
    pub(crate) follows: bool,
}

impl NamesSpec {
    /// Where all of the files are, below the root.
    pub(crate) const DIRECTORY: &str = "etc";

    /// The names of the files that a root gets which has none of them.
    pub(crate) fn files(&self) -> impl Iterator<Item = &'static str> {
        let resolver = self.resolver.as_ref().map(|_| "resolv.conf");
        ["hosts", "hostname"].into_iter().chain(resolver)
    }
}

/// One control group of version 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupSpec {
    /// Its directory on the host.
    pub(crate) path: String,
    /// The kernel's names of its controllers.
    pub(crate) controllers: Vec<String>,
}

/// The root file system: read-only layers below one writable directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct RootSpec {
    /// Topmost first; at least one.
    pub(crate) layers: Vec<Source>,
    /// Directory for what the container writes.
    pub(crate) scratch: Source,
    /// How much may be written to it. The service hands over a file system of that size where it can make one;
    /// otherwise the child mounts memory of that size.
    #[serde(default)]
    pub(crate) limit: Option<ScratchLimit>,
    /// Whether the scratch outlives the container.
    pub(crate) keep: bool,
    /// Whether it can only be read.
    #[serde(default)]
    pub(crate) read_only: bool,
    /// Directories to be hidden in it: the service's own, wherever a layer shows them.
    pub(crate) hidden: Vec<String>,
    /// What the default view of the host's files leaves out; none where the document names layers.
    pub(crate) view: Option<ViewSpec>,
}

/// The view of the host's files that a container without layers has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ViewSpec {
    /// What is left out below the root.
    pub(crate) left_out: LeftOut,
    /// Whether a file system with what covers that comes with this, mounted nowhere. Otherwise the child makes one.
    #[serde(default)]
    pub(crate) covered: bool,
    /// Directories to be there, empty, on the way to the tree.
    pub(crate) places: Vec<String>,
    /// A tree of the host that is shown although it is below what is left out, or on a file system of its own.
    pub(crate) tree: Option<TreeSpec>,
}

/// A tree of the host, and what is left out of it, by paths from its top.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TreeSpec {
    pub(crate) source: Source,
    pub(crate) left_out: LeftOut,
}

/// What is left out below one directory. Paths begin with a slash, which means that directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LeftOut {
    /// Directories on the way to the others, each after the one it is in; the directory itself first.
    pub(crate) parents: Vec<DirectorySpec>,
    /// Directories that are empty.
    pub(crate) empty: Vec<DirectorySpec>,
    /// What is not there at all.
    pub(crate) absent: Vec<String>,
}

impl LeftOut {
    /// Drops what is neither one of `places` nor on the way to one.
    pub(crate) fn retain_around(&mut self, places: &[&str]) {
        let around = |path: &str| {
            places
                .iter()
                .any(|place| Path::new(place).starts_with(path))
        };
        self.parents.retain(|directory| around(&directory.path));
        self.empty.retain(|directory| around(&directory.path));
        self.absent.retain(|path| around(path));
    }
}

/// A directory as the host has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DirectorySpec {
    pub(crate) path: String,
    /// Permission bits.
    pub(crate) mode: u32,
    pub(crate) user: u32,
    pub(crate) group: u32,
}

/// One directory in memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TemporarySpec {
    /// Where: an absolute path in the container.
    pub(crate) target: String,
    /// The most megabytes in it.
    pub(crate) size: Option<u64>,
    /// Permission bits.
    pub(crate) mode: u32,
    /// The JSON pointer of its document.
    pub(crate) pointer: String,
}

/// One directory of the root that is a mount of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VolumeSpec {
    /// Where: an absolute path in the container.
    pub(crate) target: String,
    /// The JSON pointer of its document.
    pub(crate) pointer: String,
}

/// One file, directory, socket or FIFO of the host to be seen in the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MappedSpec {
    /// What.
    pub(crate) source: Source,
    /// Where: an absolute path in the container.
    pub(crate) target: String,
    /// Without the right to write.
    pub(crate) read_only: bool,
    /// Directories of the service's own in it, relative to its top, which are covered.
    #[serde(default)]
    pub(crate) covered: Vec<String>,
    /// The owners of its files inside.
    pub(crate) owners: Owners,
    /// Whether set-user-ID bits, capabilities of files and device nodes may be made there.
    pub(crate) allow_set_id: bool,
    /// Whether it is a device that is to work there.
    #[serde(default)]
    pub(crate) device: bool,
}

/// The owners of files of the host, seen in a container with ids of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Owners {
    /// The owners on the host: `nobody` inside, unless that is one of the container's ids.
    AsOnTheHost,
    /// Those with the same numbers inside.
    Shifted,
    /// The same, where the file system can do that.
    ShiftedIfPossible,
}

/// How much a container may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScratchLimit {
    /// Bytes, what the file system needs for itself included.
    pub bytes: u64,
    /// Files and directories; `None` for as many as the file system makes of its size.
    pub inodes: Option<u64>,
}

impl ScratchLimit {
    /// What fewer bytes hold is no file system of use, and more than that an ext4 file system cannot have.
    pub const BYTES: RangeInclusive<u64> = 4 << 20..=16 << 40;
    /// The numbers of files that a file system may have.
    pub const INODES: RangeInclusive<u64> = 16..=(1 << 32) - 1024;
}
