//! The container's network: an isolated namespace with loopback only, or a named one (`ip netns`).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use hcs_schema::Failure;
use rustix::{
    fs::{CWD, Mode, OFlags, ResolveFlags, fstatfs, open, openat, openat2},
    io::Errno,
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

use crate::{
    failure::{Attempt, StepError},
    sys::{loopback, namespace},
};

/// JSON pointer of the property.
const POINTER: &str = "/Container/Networking/Namespace";

/// Where `ip netns` keeps its names.
const NAMES: &str = "/run/netns";

/// The type of the file system that namespaces are files of (`linux/magic.h`).
const NSFS_MAGIC: i64 = 0x6e73_6673;

/// Opens the namespace that the document of `user` names: below `/run/netns`, or by its absolute path. `None` for an
/// isolated one.
///
/// # Errors
/// It cannot be opened, is none, or the user may not join it.
pub(crate) fn check(name: Option<&str>, user: u32) -> Result<Option<OwnedFd>, Failure> {
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    let opened = open_named(name).and_then(|opened| {
        // The names are those that the host's administrator gave.
        if name.starts_with('/') {
            may_join(&opened, name, user)?;
        }
        Ok(opened)
    });
    opened.map(Some).map_err(|error| {
        error
            .asked_by(POINTER)
            .into_failure(format!("the network namespace {name:?} cannot be used"))
    })
}

/// A name stays below [`NAMES`], without symbolic links; an absolute path may be one of `/proc`, which is such a link.
/// What is opened has to be a namespace, whatever the way there: opening anything else might wait for ever or have
/// effects of its own, so it is only looked at first.
fn open_named(name: &str) -> Result<OwnedFd, StepError> {
    let step = "opening the network namespace";
    let (directory, resolve, path) = if name.starts_with('/') {
        (None, ResolveFlags::empty(), name.to_owned())
    } else {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let names = open(NAMES, flags, Mode::empty()).step_at(step, format!("{NAMES}/{name}"))?;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        (Some(names), resolve, format!("{NAMES}/{name}"))
    };
    let directory = directory.as_ref().map_or(CWD, AsFd::as_fd);
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let looked_at =
        openat2(directory, name, flags, Mode::empty(), resolve).step_at(step, &*path)?;
    let found = fstatfs(&looked_at).step_at(step, &*path)?;
    if found.f_type != NSFS_MAGIC {
        return Err(StepError::new("finding a namespace at", Errno::INVAL).at(path));
    }
    let same = format!("/proc/self/fd/{}", looked_at.as_raw_fd());
    let opened =
        open(same, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).step_at(step, &*path)?;
    match namespace::is_of_network(opened.as_fd()) {
        Ok(true) => Ok(opened),
        Ok(false) => Err(StepError::new(NOT_OF_NETWORK, Errno::INVAL).at(path)),
        Err(errno) => Err(StepError::new(step, errno).at(path)),
    }
}

/// What the kernel would let the user do: join a namespace that is owned by a user namespace of that user. The service
/// may join all of them, that of the host among them.
fn may_join(namespace: &OwnedFd, path: &str, user: u32) -> Result<(), StepError> {
    const ROOT: u32 = 0;
    if user == ROOT {
        return Ok(());
    }
    let owner = namespace::owner(namespace.as_fd()).step_at("looking at the owner of", path)?;
    match owner == user {
        true => Ok(()),
        false => Err(StepError::new(OF_ANOTHER, Errno::PERM).at(path)),
    }
}

/// The step that finds another kind of namespace.
const NOT_OF_NETWORK: &str = "finding a network namespace, and no other kind, at";
/// The step that finds a namespace which the caller could not join by other means.
const OF_ANOTHER: &str = "joining the network namespace of another user at";

/// Joins a named namespace.
pub(crate) fn join(named: &OwnedFd) -> Result<(), StepError> {
    move_into_link_name_space(named.as_fd(), Some(LinkNameSpaceType::Network))
        .step("joining the network namespace")
        .map_err(|error| error.asked_by(POINTER))
}

/// Sets the loopback interface of the namespace that the process was born with up.
pub(crate) fn set_up() -> Result<(), StepError> {
    loopback::up().step("setting the loopback interface up")
}

/// Below a procfs: who may ask for echoes without being root, and the lowest port that all users may bind.
const PING: &str = "sys/net/ipv4/ping_group_range";
const PORTS: &str = "sys/net/ipv4/ip_unprivileged_port_start";

/// Lets all users of the calling process's network namespace, which is the container's own, ping and bind any port.
/// `proc` is the container's procfs. Best effort, as it only is for comfort: kernels may lack IPv4, hosts may forbid
/// it.
pub(crate) fn open_to_all_users(proc: BorrowedFd<'_>) {
    let write = |path, text: &str| -> Result<(), Errno> {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = openat(proc, path, flags, Mode::empty())?;
        rustix::io::write(&file, text.as_bytes()).map(drop)
    };
    let _refused = write(PORTS, "0");
    let _refused = write(PING, &format!("0 {}", highest_group(proc).unwrap_or(0)));
}

/// The highest group that the range may name: the highest of the user namespace, and no more than an `int` holds.
fn highest_group(proc: BorrowedFd<'_>) -> Option<u64> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = openat(proc, "self/gid_map", flags, Mode::empty()).ok()?;
    let mut text = [0; 4096];
    let read = rustix::io::read(&file, &mut text).ok()?;
    let text = String::from_utf8_lossy(text.get(..read)?);
    let last = |line: &str| -> Option<u64> {
        let mut numbers = line.split_whitespace().map(str::parse::<u64>);
        let (inside, _, count) = (numbers.next()?, numbers.next()?, numbers.next()?);
        (inside.ok()? + count.ok()?).checked_sub(1)
    };
    let highest = text.lines().filter_map(last).max()?;
    Some(highest.min(i32::MAX.unsigned_abs().into()))
}

#[cfg(test)]
mod tests {
    use hcs_schema::HResult;

    use super::*;

    #[test]
    fn only_namespaces_are_opened_and_names_stay_in_their_directory() {
        let check = |name| check(name, 0);
        assert!(check(None).unwrap().is_none() && check(Some("")).unwrap().is_none());
        assert!(check(Some("/proc/self/ns/net")).unwrap().is_some());
        for name in [
            "../../proc/self/ns/net",
            "/proc/self/ns/mnt",
            "/dev/null",
            "/etc",
            "no-such",
            "a\0b",
        ] {
            let failure = check(Some(name)).unwrap_err();
            let pointer = failure.causes[0].pointer.as_deref();
            assert_eq!(pointer, Some(POINTER), "{name:?}: {failure:?}");
        }
    }

    #[test]
    fn a_user_names_no_namespace_that_is_not_the_users_own() {
        let owner = namespace::owner(open_named("/proc/self/ns/net").unwrap().as_fd()).unwrap();
        let failure = check(Some("/proc/self/ns/net"), owner + 1).unwrap_err();
        assert_eq!(failure.hresult, HResult::E_ACCESSDENIED, "{failure:?}");
        assert!(check(Some("/proc/self/ns/net"), owner).unwrap().is_some());
    }
}
