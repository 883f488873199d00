//! The container's network: an isolated namespace with loopback only, or a named one (`ip netns`, or a path).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use hcs_schema::Failure;
use rustix::{
    fs::{FileType, Mode, OFlags, ResolveFlags, fstat, fstatfs, open, openat, openat2},
    io::Errno,
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

use crate::{
    failure::{Attempt, StepError},
    source,
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

/// The step that opens a namespace.
const OPENING: &str = "opening the network namespace";

/// What is opened has to be a namespace, whatever the way there: opening anything else might wait for ever or have
/// effects of its own, so it is only looked at first.
fn open_named(name: &str) -> Result<OwnedFd, StepError> {
    let step = OPENING;
    let (looked_at, path) = if name.starts_with('/') {
        (look_at_path(name)?, name.to_owned())
    } else {
        let path = format!("{NAMES}/{name}");
        (look_at_name(name).step_at(step, &*path)?, path)
    };
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

/// A name stays below [`NAMES`], without symbolic links.
fn look_at_name(name: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let names = open(NAMES, flags | OFlags::DIRECTORY, Mode::empty())?;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    openat2(names, name, flags, Mode::empty(), resolve)
}

/// Links on the way along an absolute path are followed as those to other files of the host are ([`source`]): not where
/// they belong to another user, who would choose the namespace. The last part may be a magic link, as the files of
/// `/proc` are that stand for namespaces.
fn look_at_path(path: &str) -> Result<OwnedFd, StepError> {
    // These are links, too, whose targets only this process finds.
    let own = ["/proc/self/", "/proc/thread-self/"];
    let path = match own.iter().find_map(|own| path.strip_prefix(*own)) {
        Some(rest) => format!("/proc/{}/{rest}", std::process::id()),
        None => path.to_owned(),
    };
    let (above, last) = path.rsplit_once('/').unwrap_or(("", &*path));
    let above = source::reach(if above.is_empty() { "/" } else { above }, OPENING)
        .map_err(|error| error.at(&*path))?;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let found =
        openat(&above, last, flags | OFlags::NOFOLLOW, Mode::empty()).step_at(OPENING, &*path)?;
    match is_magic(&found).step_at(OPENING, &*path)? {
        true => openat(&above, last, flags, Mode::empty()).step_at(OPENING, &*path),
        false => source::reach(&path, OPENING),
    }
}

/// Whether it is a symbolic link of a procfs.
fn is_magic(file: &OwnedFd) -> Result<bool, Errno> {
    let is_link = FileType::from_raw_mode(fstat(file)?.st_mode).is_symlink();
    Ok(is_link && fstatfs(file)?.f_type == libc::PROC_SUPER_MAGIC)
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

/// The network namespace of a process of ours, unless that `is_gone`: then another one may have its pid.
///
/// # Errors
/// It is gone, or the kernel refuses.
pub(crate) fn of_process(pid: i32, is_gone: impl FnOnce() -> bool) -> Result<OwnedFd, StepError> {
    let path = format!("/proc/{pid}/ns/net");
    let opened = open(&*path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    // While it lives, that is its own and not that of a later process.
    match opened {
        _ if is_gone() => Err(Errno::SRCH),
        opened => opened,
    }
    .step_at("opening its network namespace", path)
}

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
    use std::os::unix::fs::{lchown, symlink};

    use hcs_schema::HResult;

    use super::*;

    #[test]
    fn only_namespaces_are_opened_and_names_stay_in_their_directory() {
        let check = |name| check(name, 0);
        assert!(check(None).unwrap().is_none() && check(Some("")).unwrap().is_none());
        for name in ["/proc/self/ns/net", "/proc/thread-self/ns/net"] {
            assert!(check(Some(name)).unwrap().is_some(), "{name}");
        }
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

    #[test]
    fn a_link_of_another_user_leads_to_no_namespace() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
        let namespaces = format!("/proc/{}/ns", std::process::id());
        symlink(&namespaces, path("namespaces")).unwrap();
        symlink(format!("{namespaces}/net"), path("net")).unwrap();
        let through = path("namespaces/net");
        assert!(check(Some(&through), 0).unwrap().is_some());
        for name in ["namespaces", "net"] {
            lchown(path(name), Some(4242), Some(4242)).unwrap();
        }
        for name in [through, path("net")] {
            let failure = check(Some(&name), 0).unwrap_err();
            assert_eq!(failure.hresult, HResult::E_ACCESSDENIED, "{failure:?}");
        }
    }
}
