//! `/dev`: the devices every program may expect, links, terminals, shared memory and message queues.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::{
    fs::{CWD, Dev, FileType, Mode, OFlags, fstat, makedev, mkdirat, mknodat, symlinkat},
    io::Errno,
    mount::MountAttrFlags,
};

use super::{
    mount,
    place::{self, Kind},
};
use crate::{
    cgroup::NODES,
    failure::{Attempt, StepError},
    spec::UserSpec,
};

/// Symbolic links: name, target.
const LINKS: [(&str, &str); 6] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
    ("ptmx", "pts/ptmx"),
];

/// One file system below `/dev`.
struct Below {
    name: &'static str,
    kind: &'static str,
    options: &'static [(&'static str, &'static str)],
    attributes: MountAttrFlags,
}

/// Where message queues are.
const QUEUES: &str = "mqueue";

const NOSUID_NOEXEC: MountAttrFlags =
    MountAttrFlags::MOUNT_ATTR_NOSUID.union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// Group 5 is `tty` on every distribution; terminals are made for it as `grantpt(3)` would. All containers of a host
/// share the terminals of `kernel.pty.max` (4,096, of which 1,024 are the host's own), so each may have some of them
/// only.
const BELOW: [Below; 3] = [
    Below {
        name: "pts",
        kind: "devpts",
        options: &[
            ("newinstance", ""),
            ("ptmxmode", "0666"),
            ("mode", "0620"),
            ("gid", "5"),
            ("max", "512"),
        ],
        attributes: NOSUID_NOEXEC,
    },
    Below {
        name: "shm",
        kind: "tmpfs",
        options: &[("mode", "1777"), ("size", "64m")],
        attributes: mount::PLAIN,
    },
    Below {
        name: QUEUES,
        kind: "mqueue",
        options: &[],
        attributes: mount::PLAIN,
    },
];

/// Fills the empty file system `dev`, which is to be the container's `/dev`, with nodes, links and mount points;
/// without nodes for a container with a user namespace, where no process makes any.
pub(crate) fn fill(dev: BorrowedFd<'_>, user: Option<&UserSpec>) -> Result<(), StepError> {
    // Modes are meant as written here; the agent's mask is set later.
    let mask = rustix::process::umask(Mode::empty());
    let filled = make_entries(dev, user);
    rustix::process::umask(mask);
    filled
}

fn make_entries(dev: BorrowedFd<'_>, user: Option<&UserSpec>) -> Result<(), StepError> {
    let nodes = if user.is_none() { &NODES[..] } else { &[] };
    for &(name, major, minor) in nodes {
        let mode = Mode::from_raw_mode(0o666);
        mknodat(
            dev,
            name,
            FileType::CharacterDevice,
            mode,
            makedev(major, minor),
        )
        .step_at("making the device /dev/", name)?;
    }
    for (name, target) in LINKS {
        symlinkat(target, dev, name).step_at("making the link /dev/", name)?;
    }
    for below in &BELOW {
        mkdirat(dev, below.name, Mode::from_raw_mode(0o755))
            .step_at("making the directory /dev/", below.name)?;
    }
    Ok(())
}

/// Shows the host's own node: no process makes nodes in a user namespace. A node that the host has not, or something
/// else in its place, is left out.
fn borrow_node(dev: BorrowedFd<'_>, name: &str, device: Dev) -> Result<(), Errno> {
    let node = match place::open(CWD, &format!("/dev/{name}")) {
        Err(Errno::NOENT) => return Ok(()),
        node => node?,
    };
    let found = fstat(&node)?;
    if !FileType::from_raw_mode(found.st_mode).is_char_device() || found.st_rdev != device {
        return Ok(());
    }
    let view = mount::clone_tree(node.as_fd(), "", false)?;
    let place = place::open_or_make(dev, name, Kind::File)?;
    mount::attach(view.as_fd(), place.as_fd())
}

/// Opens the null device of the finished `/dev`, in which no other process has put anything yet.
pub(crate) fn null(dev: BorrowedFd<'_>) -> Result<OwnedFd, StepError> {
    let null = place::open_own(dev, "null", OFlags::RDWR).step_at("opening", "/dev/null")?;
    let found = fstat(&null).step_at("examining", "/dev/null")?;
    let is_device = FileType::from_raw_mode(found.st_mode) == FileType::CharacterDevice;
    if is_device && found.st_rdev == makedev(1, 3) {
        return Ok(null);
    }
    Err(StepError::new("finding the null device at", Errno::NODEV).at("/dev/null"))
}

/// Of what [`make_below`] made, the file system of terminals.
pub(crate) fn terminals(made: Vec<OwnedFd>) -> Result<OwnedFd, StepError> {
    let mut made = BELOW.iter().zip(made);
    let terminals = made.find(|(below, _)| below.kind == "devpts");
    terminals
        .map(|(_, terminals)| terminals)
        .ok_or_else(|| StepError::new("finding the file system of terminals", Errno::NODEV))
}

/// Of what [`make_below`] made, gives the file system of shared memory another size.
pub(crate) fn resize_shared_memory(made: &[OwnedFd], megabytes: u64) -> Result<(), StepError> {
    let shared = BELOW
        .iter()
        .zip(made)
        .find(|(below, _)| below.name == "shm");
    let resized = shared.map_or(Err(Errno::NODEV), |(_, shared)| {
        mount::resize(shared.as_fd(), &format!("{megabytes}m"))
    });
    resized
        .step_at("giving its size to", "/dev/shm")
        .map_err(|error| error.asked_by("/Container/SharedMemoryInMB"))
}

/// Makes the file systems below `/dev`, mounted nowhere yet.
pub(crate) fn make_below(user: Option<&UserSpec>) -> Result<Vec<OwnedFd>, StepError> {
    let made = BELOW.iter().map(|below| {
        let mut options = below.options.to_vec();
        if user.is_some_and(|user| !user.many) {
            // There is no group but root's.
            options.retain(|(key, _)| *key != "gid");
        }
        mount::create(below.kind, &options, below.attributes)
            .step_at("making the file system for /dev/", below.name)
    });
    made.collect()
}

/// Mounts what [`make_below`] made, but for message queues, and nodes that could not be made. No other process may be
/// able to change `dev`.
pub(crate) fn mount_below(
    dev: BorrowedFd<'_>,
    made: &[OwnedFd],
    user: Option<&UserSpec>,
) -> Result<(), StepError> {
    if user.is_some() {
        let mask = rustix::process::umask(Mode::empty());
        let mut nodes = NODES.into_iter();
        let borrowed = nodes.try_for_each(|(name, major, minor)| {
            borrow_node(dev, name, makedev(major, minor)).step_at("showing the host's /dev/", name)
        });
        rustix::process::umask(mask);
        borrowed?;
    }
    mount_those(dev, made, |name| name != QUEUES)
}

/// Mounts message queues, of what [`make_below`] made.
pub(crate) fn mount_queues(dev: BorrowedFd<'_>, made: &[OwnedFd]) -> Result<(), StepError> {
    mount_those(dev, made, |name| name == QUEUES)
}

fn mount_those(
    dev: BorrowedFd<'_>,
    made: &[OwnedFd],
    are_meant: fn(&str) -> bool,
) -> Result<(), StepError> {
    let mut all = BELOW.iter().zip(made);
    all.try_for_each(|(below, file_system)| match are_meant(below.name) {
        true => mount::attach_below(file_system.as_fd(), dev, below.name)
            .step_at("mounting /dev/", below.name),
        false => Ok(()),
    })
}
