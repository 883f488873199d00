//! The service that a control group belongs to.
//!
//! Groups are named after the endpoint, and a service removes those that it does not know. Its lock is in its state
//! root. Where another file system is mounted there (in a sandbox, in mounts of its own), a second service of the same
//! name would end the containers of the first. So a group has the identity of a state root as an attribute. Groups of
//! another service are left alone, and while one of them is in use no service of that name starts.
//!
//! An ordinary user's service has no groups. There the scratch of each container has such an attribute, and is left
//! alone by services with another state root.
//!
//! An identity ends with the boot, as all groups do.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use rustix::fs::{XattrFlags, lgetxattr, setxattr};

use super::{detect::every_mount, own};

/// The attribute of a control group. Only root may give or change it.
const ATTRIBUTE: &str = "trusted.hcs.state_root";

/// That of a scratch. The user of the service gives it; the container does not reach it.
const OF_SCRATCH: &str = "user.hcs.state_root";

/// More than an identity has.
pub(crate) const LONGEST: usize = 128;

/// That of this process, once it is a service.
static OWN: OnceLock<String> = OnceLock::new();

/// What tells a state root from another one of the same path: this boot, the file system and the directory.
pub(crate) fn identity(state_root: &Path, boot: &str) -> io::Result<String> {
    let found = fs::metadata(state_root)?;
    Ok(format!("{boot} {} {}", found.dev(), found.ino()))
}

/// Makes the calling process the service of that identity. A process is one service.
pub(crate) fn belong_to(identity: String) {
    let _first = OWN.get_or_init(|| identity);
}

/// Marks a control group as that of this service.
pub(crate) fn mark(group: &Path) {
    if let Some(own) = OWN.get() {
        // Where it is refused, as inside of a container, groups are told apart by their names alone.
        let _unmarked = setxattr(group, ATTRIBUTE, own.as_bytes(), XattrFlags::empty());
    }
}

/// Whether a control group is that of another service of this boot.
pub(crate) fn is_of_another(group: &Path) -> bool {
    OWN.get().is_some_and(|own| is_not_of(group, own))
}

/// Marks a scratch as that of a container of this service, which is an ordinary user's: its containers have no control
/// groups by which to tell whose they are.
pub(crate) fn mark_scratch(scratch: &Path) {
    if let Some(own) = OWN.get() {
        // On a file system without attributes, scratches are told apart by their names alone.
        let _unmarked = setxattr(scratch, OF_SCRATCH, own.as_bytes(), XattrFlags::empty());
    }
}

/// Whether a scratch is that of a container of another service of this boot, which may live on without it.
pub(crate) fn is_scratch_of_another(scratch: &Path) -> bool {
    OWN.get()
        .is_some_and(|own| differs(scratch, OF_SCRATCH, own))
}

fn is_not_of(group: &Path, own: &str) -> bool {
    differs(group, ATTRIBUTE, own)
}

fn differs(path: &Path, attribute: &str, own: &str) -> bool {
    let mut found = [0; LONGEST];
    match lgetxattr(path, attribute, &mut found) {
        Ok(length) => {
            let found = found.get(..length).unwrap_or_default();
            is_other(&String::from_utf8_lossy(found), own)
        }
        // An earlier version has made it, or it is gone.
        Err(_) => false,
    }
}

/// Whether `found` is the identity of another state root, of the same boot.
pub(crate) fn is_other(found: &str, own: &str) -> bool {
    let boot = |text: &str| text.split(' ').next().map(str::to_owned);
    found != own && boot(found) == boot(own)
}

fn mounts() -> Vec<PathBuf> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mounts = every_mount(&text).into_iter();
    mounts.map(|(mount, _)| mount).collect()
}

/// A group below `root` that is of another service than `own`, and in use: by that service or by one of its systems,
/// whose names `is_system` tells. None is changed: that service may be about to put a process there.
pub(crate) fn used_by_another(
    root: &str,
    own: &str,
    is_system: impl Fn(&str) -> bool,
) -> Option<PathBuf> {
    let mounts = mounts();
    let roots = mounts
        .iter()
        .map(|mount| mount.join(root.trim_matches('/')));
    let groups = roots.flat_map(|root| fs::read_dir(root).into_iter().flatten().flatten());
    let named = groups.filter(|group| {
        let name = group.file_name();
        name.to_str()
            .is_some_and(|name| name == own::NAME || is_system(name))
    });
    let mut others = named
        .map(|group| group.path())
        .filter(|group| is_not_of(group, own));
    others.find(|group| has_processes(group))
}

/// Whether there are processes in a group, or below it. In version 1 those of another pid namespace are not listed, but
/// they are counted where processes are limited.
fn has_processes(group: &Path) -> bool {
    let read = |file| fs::read_to_string(group.join(file)).unwrap_or_default();
    let counted = read("pids.current").trim().parse::<u64>();
    let events = read("cgroup.events");
    events.lines().any(|line| line == "populated 1")
        || counted.is_ok_and(|count| count > 0)
        || !read("cgroup.procs").is_empty()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    const GUID: &str = "3f2504e0-4f89-11d3-9a0c-0305e82c3301";

    #[test]
    fn an_identity_is_another_in_the_same_boot_only() {
        assert!(!is_other("boot 1 2", "boot 1 2"));
        assert!(is_other("boot 1 3", "boot 1 2"));
        assert!(!is_other("before 1 3", "boot 1 2"));
        assert!(!is_other("", "boot 1 2"));
        let place = tempfile::tempdir().unwrap();
        let (one, other) = (place.path().join("one"), place.path().join("other"));
        for path in [&one, &other] {
            fs::create_dir(path).unwrap();
        }
        let [one_is, other_is] = [&one, &other].map(|path| identity(path, "boot").unwrap());
        assert!(is_other(&one_is, &other_is));
        assert_eq!(identity(&one, "boot").unwrap(), one_is);
        assert!(!is_other(&identity(&one, "later").unwrap(), &other_is));
        assert!(one_is.len() < LONGEST);
    }

    /// As root, who alone has control groups.
    #[test]
    fn a_group_of_another_service_counts_while_it_is_in_use() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let root = format!("hcs-test-owner-{}", std::process::id());
        let mounts = mounts();
        let groups = || mounts.iter().map(|mount| mount.join(&root).join(GUID));
        for group in groups() {
            fs::create_dir_all(&group).unwrap();
        }
        let used = |own: &str| used_by_another(&root, own, |name| name == GUID);
        assert_eq!(used("boot 1 2"), None, "without a mark");
        let mut process = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        for group in groups() {
            setxattr(&group, ATTRIBUTE, b"boot 1 3", XattrFlags::empty()).unwrap();
        }
        // A group of processors takes no process before it is told which.
        let taken = groups().filter(|group| {
            fs::write(group.join("cgroup.procs"), process.id().to_string()).is_ok()
        });
        assert_ne!(taken.count(), 0);
        assert!(used("boot 1 2").is_some_and(|group| group.ends_with(GUID)));
        assert_eq!(used("boot 1 3"), None, "its own");
        assert_eq!(used("later 1 2"), None, "of another boot");
        drop(process.stdin.take());
        process.wait().unwrap();
        assert_eq!(used("boot 1 2"), None);
        // Its service may be about to put a process there.
        for group in groups() {
            fs::remove_dir(&group).unwrap();
            fs::remove_dir(group.parent().unwrap()).unwrap();
        }
    }

    /// As root, who alone has control groups.
    #[test]
    fn processes_of_another_pid_namespace_are_seen() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let root = format!("hcs-test-seen-{}", std::process::id());
        let mounts = mounts();
        let groups = || mounts.iter().map(|mount| mount.join(&root).join(GUID));
        let mut process = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        for group in groups() {
            fs::create_dir_all(&group).unwrap();
            setxattr(&group, ATTRIBUTE, b"boot 1 3", XattrFlags::empty()).unwrap();
            // A group of processors takes none yet.
            let _taken = fs::write(group.join("cgroup.procs"), process.id().to_string());
        }
        let test = "cgroup::owner::tests::looks_from_another_pid_namespace";
        let looked = Command::new("unshare")
            .args(["--pid", "--fork", "--mount-proc"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", test])
            .env(LOOKED_IN, &root)
            .status()
            .unwrap();
        drop(process.stdin.take());
        process.wait().unwrap();
        for group in groups() {
            fs::remove_dir(&group).unwrap();
            fs::remove_dir(group.parent().unwrap()).unwrap();
        }
        assert!(looked.success());
    }

    const LOOKED_IN: &str = "HCS_TEST_LOOKED_IN";

    /// Looks for [`processes_of_another_pid_namespace_are_seen`]; does nothing otherwise.
    #[test]
    fn looks_from_another_pid_namespace() {
        if let Ok(root) = std::env::var(LOOKED_IN) {
            assert!(used_by_another(&root, "boot 1 2", |name| name == GUID).is_some());
        }
    }
}
