//! The namespaces of pid 1: a service in those of a caller would show its mounts to the containers of all
//! clients, and be gone from the view of other callers.
//!
//! Mounts, network, UTS, IPC, time and control groups are joined. Not so a user or pid namespace: a process in another
//! one is in another machine, as it were, and its service belongs there with all it has. Neither are mounts in which
//! the socket's directory, the program or the configuration would be other files, or none.

use std::{fs, os::fd::AsFd as _, path::Path};

use rustix::{
    fs::{Mode, OFlags, ResolveFlags, Stat, fstat, open, openat2, stat},
    io::Errno,
    process::{chroot, geteuid},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

const BESIDES_MOUNTS: [(&str, LinkNameSpaceType); 5] = [
    ("net", LinkNameSpaceType::Network),
    ("uts", LinkNameSpaceType::HostNameAndNISDomainName),
    ("ipc", LinkNameSpaceType::InterProcessCommunication),
    ("cgroup", LinkNameSpaceType::ControlGroup),
    ("time", LinkNameSpaceType::Time),
];

/// Of a process that made one and has not entered it: its children are in there (`unshare -T`).
const TIME_OF_CHILDREN: &str = "time_for_children";

/// Where pid 1's root is, as seen from elsewhere.
const ROOT: &str = "/proc/1/root";

/// Joins them, as far as that is right and allowed.
pub(super) fn join(seen: &[&Path]) {
    if !geteuid().is_root() || differs("user") || differs("pid") {
        return;
    }
    for (name, kind) in BESIDES_MOUNTS {
        if differs(name) || name == "time" && differs(TIME_OF_CHILDREN) {
            let _stays = enter(name, kind);
        }
    }
    if differs("mnt") && seen.iter().all(|path| is_same_there(path)) {
        let _stays = enter("mnt", LinkNameSpaceType::Mount).and_then(|()| root());
    }
}

/// The namespaces that are not those of pid 1, by their names in `/proc/PID/ns`.
pub(super) fn others() -> Vec<&'static str> {
    let names = BESIDES_MOUNTS.iter().map(|(name, _)| *name);
    names
        .chain(["mnt", TIME_OF_CHILDREN])
        .filter(|name| differs(name))
        .collect()
}

/// Whether a namespace is known to be another than that of pid 1.
fn differs(name: &str) -> bool {
    let of = |process: &str| fs::read_link(format!("/proc/{process}/ns/{name}"));
    matches!((of("self"), of("1")), (Ok(own), Ok(first)) if own != first)
}

fn enter(name: &str, kind: LinkNameSpaceType) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let namespace = open(format!("/proc/1/ns/{name}"), flags, Mode::empty())?;
    move_into_link_name_space(namespace.as_fd(), Some(kind))
}

/// The root directory of pid 1, which need not be that of its mounts.
fn root() -> Result<(), Errno> {
    if identity(stat(ROOT)?) == identity(stat("/")?) {
        return Ok(());
    }
    chroot(ROOT)
}

/// Whether `path`, or what there is of it, leads to the same file in pid 1's mounts.
fn is_same_there(path: &Path) -> bool {
    let found = path
        .ancestors()
        .find_map(|part| Some((part, stat(part).ok()?)));
    let Some((part, here)) = found else {
        return false;
    };
    let there = || -> Result<Stat, Errno> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let root = open(ROOT, flags | OFlags::DIRECTORY, Mode::empty())?;
        let file = openat2(root, part, flags, Mode::empty(), ResolveFlags::IN_ROOT)?;
        fstat(file)
    };
    there().is_ok_and(|there| identity(there) == identity(here))
}

fn identity(stat: Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_the_same_in_the_mounts_of_pid_1() {
        // The tests may run in a container of their own, but in its first namespaces; pid 1 may have more rights than
        // they, and then shows nothing of itself.
        if !geteuid().is_root() || differs("mnt") || fs::read_link(ROOT).is_err() {
            return;
        }
        assert!(is_same_there(&std::env::current_exe().unwrap()) || differs("pid"));
        assert!(is_same_there(Path::new("/nonexistent/hcs.sock")));
        assert!(
            others().is_empty()
                || differs("net")
                || differs("uts")
                || differs("ipc")
                || differs("cgroup")
                || differs("time")
        );
    }
}
