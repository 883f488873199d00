//! What the host offers to containers, for the capability answer: looked up when asked for, since it can change.

use std::{fs, path::PathBuf};

use hcs_engine::engine::Offers;
use serde_json::{Map, Value, json};

use crate::{
    apparmor::Profile,
    config::{EngineConfig, HostView},
    privilege::Privilege,
};

/// The offers to an engine of that configuration.
pub(crate) fn look(config: &EngineConfig) -> Offers {
    let kernel = kernel();
    let privileged = Privilege::own() == Privilege::Root;
    let members = [
        ("AppArmor", apparmor(&config.profile)),
        ("Host", of_host(&kernel)),
        ("HostView", view(&config.host_view)),
        ("Limits", limits(&kernel, privileged)),
    ];
    Offers {
        limits_processors: limits_processors(&kernel),
        members: members
            .map(|(name, value)| (name.to_owned(), value))
            .into_iter()
            .collect::<Map<_, _>>(),
    }
}

/// The profile of containers, or why they have none.
fn apparmor(profile: &Result<Profile, String>) -> Value {
    match profile {
        Ok(profile) => json!({ "Applied": true, "Profile": profile.name() }),
        Err(why) => json!({ "Applied": false, "Reason": why }),
    }
}

fn view(view: &HostView) -> Value {
    json!({
        "Empty": view.empty,
        "Hidden": view.hidden,
        "FileSystems": HostView::file_systems(),
    })
}

fn of_host(kernel: &Kernel) -> Value {
    json!({
        "ControlGroups": {
            "Version1Controllers": kernel.v1,
            "Version2": kernel.unified,
            "Version2Controllers": kernel.v2,
        },
        "OverlayFilesystem": kernel.overlayfs,
        "UserNamespaces": kernel.user_namespaces,
    })
}

/// Whether processor time can be limited.
fn limits_processors(kernel: &Kernel) -> bool {
    let mut all = kernel.v1.iter().chain(&kernel.v2);
    all.any(|controller| controller == "cpu")
}

/// Which limits this service can have the kernel enforce, each with the reason where not.
fn limits(kernel: &Kernel, privileged: bool) -> Value {
    if !privileged {
        let reason = "this service runs as an ordinary user, who has no control groups of the host";
        let none = json!({ "Supported": false, "Reason": reason });
        return json!({ "Memory": none, "Processor": none, "Processes": none, "CpuGroups": none });
    }
    let has = |v1: &str, v2: &str| {
        kernel.v1.iter().any(|name| name == v1) || kernel.v2.iter().any(|name| name == v2)
    };
    let one = |v1: &str, v2: &str| {
        if has(v1, v2) {
            json!({ "Supported": true })
        } else {
            let reason = format!("this host mounts no control group controller \"{v2}\"");
            json!({ "Supported": false, "Reason": reason })
        }
    };
    json!({
        "Memory": one("memory", "memory"),
        "Processor": one("cpu", "cpu"),
        "Processes": one("pids", "pids"),
        "CpuGroups": one("cpuset", "cpuset"),
    })
}

/// What the kernel offers to containers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Kernel {
    /// Controllers of control groups, by version, in their order of name.
    v1: Vec<String>,
    v2: Vec<String>,
    unified: bool,
    overlayfs: bool,
    /// How many user namespaces may be made; 0 where they are switched off or not built in.
    user_namespaces: u64,
}

/// Looks.
fn kernel() -> Kernel {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let mounts = read("/proc/self/mountinfo");
    let unified = mount_of_unified(&mounts);
    let v2 = unified
        .as_deref()
        .map(|mount| fs::read_to_string(mount.join("cgroup.controllers")).unwrap_or_default())
        .unwrap_or_default();
    let mut v2: Vec<String> = v2.split_whitespace().map(str::to_owned).collect();
    v2.sort();
    Kernel {
        v1: v1_controllers(&mounts),
        v2,
        unified: unified.is_some(),
        overlayfs: read("/proc/filesystems")
            .lines()
            .any(|line| line.ends_with("\toverlay")),
        user_namespaces: read("/proc/sys/user/max_user_namespaces")
            .trim()
            .parse()
            .unwrap_or(0),
    }
}

/// Type and super options of a mount, and its mount point (`proc_pid_mountinfo(5)`).
fn mounts(text: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    text.lines().filter_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        let mut kind = kind.split(' ');
        Some((place.split(' ').nth(4)?, kind.next()?, kind.nth(1)?))
    })
}

fn mount_of_unified(text: &str) -> Option<PathBuf> {
    mounts(text)
        .find(|(_, kind, _)| *kind == "cgroup2")
        .map(|(point, ..)| PathBuf::from(point))
}

fn v1_controllers(text: &str) -> Vec<String> {
    const KNOWN: [&str; 8] = [
        "blkio", "cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids",
    ];
    let options = mounts(text).filter(|(_, kind, _)| *kind == "cgroup");
    let mut found: Vec<String> = options
        .flat_map(|(_, _, options)| options.split(','))
        .filter(|option| KNOWN.contains(option))
        .map(str::to_owned)
        .collect();
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_view_and_the_profile_are_told() {
        let without = EngineConfig {
            profile: Err("no AppArmor".to_owned()),
            ..EngineConfig::default()
        };
        let answer = Value::from(look(&without).members);
        let none = json!({ "Applied": false, "Reason": "no AppArmor" });
        assert_eq!(answer["AppArmor"], none);
        let hidden = answer["HostView"]["Hidden"].as_array().unwrap();
        assert!(hidden.contains(&json!("/etc/shadow")));
    }

    #[test]
    fn limits_follow_from_the_controllers_there_are() {
        let nothing = limits(&Kernel::default(), true);
        assert_eq!(nothing["Memory"]["Supported"], false);
        assert!(
            nothing["CpuGroups"]["Reason"]
                .as_str()
                .is_some_and(|why| why.contains("cpuset"))
        );
        let kernel = Kernel {
            v2: vec!["memory".to_owned()],
            unified: true,
            ..Kernel::default()
        };
        assert_eq!(limits(&kernel, true)["Memory"]["Supported"], true);
        assert_eq!(limits(&kernel, false)["Memory"]["Supported"], false);
    }

    #[test]
    fn controllers_are_found_in_the_mounts() {
        let text = "30 25 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
                    31 25 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
                    32 25 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        assert_eq!(v1_controllers(text), ["cpu", "cpuacct", "memory"]);
        let unified = Path::new("/sys/fs/cgroup/unified");
        assert_eq!(mount_of_unified(text).as_deref(), Some(unified));
        assert_eq!(mount_of_unified("nonsense\n"), None);
    }
}
