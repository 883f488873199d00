//! Warm slots: what is prepared holds nothing, ends with its service, and becomes a container like any other.

use std::fs;

use hcs_engine::{
    engine::{CreateRequest, Engine, Machine, WarmSlot},
    steps::Watch,
};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::json;
use std::sync::Arc;

use crate::host::{Container, Host, entries, in_private_mounts, wait_readable};
use crate::mode::Mode;

super::cases![
    a_parked_child_holds_no_mount_of_its_host,
    what_is_mounted_later_is_seen,
    a_parked_child_ends_with_its_service,
    what_is_discarded_leaves_nothing,
    one_that_has_died_is_refused_and_leaves_nothing,
    what_was_parked_is_swept,
    only_what_is_the_same_for_all_fits,
    a_warm_container_is_like_a_cold_one,
    what_the_view_leaves_out_is_covered_beforehand,
];

/// Pid of the only process in the groups of a slot.
fn parked(host: &Host, request: &CreateRequest) -> Pid {
    let mut pids: Vec<i32> = host
        .groups()
        .iter()
        .map(|group| group.join(&request.runtime_id).join("cgroup.procs"))
        .filter_map(|file| fs::read_to_string(file).ok())
        .flat_map(|text| {
            let pids = text.lines().map(|pid| pid.parse().unwrap());
            pids.collect::<Vec<i32>>()
        })
        .collect();
    pids.sort_unstable();
    pids.dedup();
    assert_eq!(pids.len(), 1, "{pids:?}");
    Pid::from_raw(pids[0]).unwrap()
}

/// Waits until the child has joined its groups, which is the last thing that is seen of it from outside.
fn wait_parked(host: &Host, request: &CreateRequest) -> Pid {
    let name = |pid: i32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let joined = host.groups().iter().all(|group| {
            let file = group.join(&request.runtime_id).join("cgroup.procs");
            fs::read_to_string(file).is_ok_and(|text| !text.is_empty())
        });
        if joined {
            let pid = parked(host, request);
            if name(pid.as_raw_nonzero().get()) == "hcs-slot\n" {
                return pid;
            }
        }
        assert!(std::time::Instant::now() < end, "it is not parked");
        std::thread::yield_now();
    }
}

fn make(slot: Box<dyn WarmSlot>, request: CreateRequest) -> Container {
    let machine: Arc<dyn Machine> = slot.make(&request).unwrap_or_else(|f| panic!("{f:#?}"));
    let container = Container::new(machine, request);
    container.wait_ready().unwrap_or_else(|f| panic!("{f:#?}"));
    container
}

/// Whether file systems in memory can be shown with shifted owners here (Linux 6.3).
fn memory_shifts_owners() -> bool {
    let release = rustix::system::uname();
    let release = release.release().to_string_lossy().into_owned();
    let mut numbers = release.split('.').map(|part| {
        let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u32>().unwrap_or_default()
    });
    (numbers.next(), numbers.next()) >= (Some(6), Some(3))
}

/// A container that is kept ready has it made by the service, which asks a user namespace for shifted owners in memory
/// (Linux 6.3).
fn what_the_view_leaves_out_is_covered_beforehand() {
    let host = Host::new();
    let covers_itself = |document: serde_json::Value, warm: bool| {
        let request = host.request(document);
        let watch = Watch::default();
        let container = watch.over(|| {
            if warm {
                return make(host.prepare(&request), request);
            }
            let machine = host.engine.create(&request);
            let container = Container::new(machine.unwrap_or_else(|f| panic!("{f:#?}")), request);
            container.wait_ready().unwrap_or_else(|f| panic!("{f:#?}"));
            container
        });
        assert_eq!(container.shell("ls -A /home | wc -l"), "0");
        let heard = watch.heard();
        assert!(
            heard
                .iter()
                .any(|step| step.what.contains("root file system"))
        );
        heard
            .iter()
            .any(|step| step.what.contains("covered what the view leaves out"))
    };
    assert!(covers_itself(json!({}), false));
    if !Mode::get().has_user_namespace() || memory_shifts_owners() {
        assert!(!covers_itself(json!({}), true));
    }
}

fn a_parked_child_holds_no_mount_of_its_host() {
    let host = Host::new();
    let request = host.request(json!({}));
    let slot = host.prepare(&request);
    let pid = wait_parked(&host, &request).as_raw_nonzero().to_string();
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/mnt")).unwrap();
    // A copy of the host's mounts would keep busy what the host wants to unmount.
    match Mode::get().has_user_namespace() {
        true => wait_alone(&pid),
        false => assert_eq!(namespace(&pid), namespace("self")),
    }
    let parked = namespace(&pid);
    let container = make(slot, request);
    let now = namespace(&container.recorded("Pid").to_string());
    assert_eq!(now == parked, Mode::get().has_user_namespace());
}

/// Waits until a parked child with its mounts to itself has let go of those of the host: what is left it has made, but
/// for single nodes and the directories of its control groups.
fn wait_alone(pid: &str) {
    let mounts = || fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
    let is_own = |line: &str| {
        let place = line.split(' ').nth(4).unwrap();
        let below = |own: &&str| place == *own || place.starts_with(&format!("{own}/"));
        place == "/" || ["/proc", "/sys", "/dev"].iter().any(below)
    };
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let found = mounts();
        let has_proc = found.lines().any(|line| line.contains(" /proc "));
        let root = found
            .lines()
            .find(|line| line.split(' ').nth(4) == Some("/"));
        let is_memory = root.is_some_and(|line| line.contains(" - tmpfs "));
        if has_proc && is_memory && found.lines().all(is_own) {
            return;
        }
        assert!(std::time::Instant::now() < end, "{found}");
        std::thread::yield_now();
    }
}

fn what_is_mounted_later_is_seen() {
    if !in_private_mounts("slots::what_is_mounted_later_is_seen", "true") {
        return;
    }
    let host = Host::new();
    let layer = host.files.path().join("layer");
    fs::create_dir(&layer).unwrap();
    let storage = json!({ "Storage": { "Layers": [{ "Path": layer }, { "Path": "/" }] } });
    let request = host.request(storage);
    let slot = host.prepare(&request);
    wait_parked(&host, &request);
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "none"])
        .arg(&layer)
        .status();
    assert!(mounted.unwrap().success());
    fs::write(layer.join("fresh"), "yes").unwrap();
    let container = make(slot, request);
    assert_eq!(container.shell("cat /fresh"), "yes");
    drop(container);
    let unmounted = std::process::Command::new("umount").arg(&layer).status();
    assert!(unmounted.unwrap().success());
}

fn a_parked_child_ends_with_its_service() {
    let host = Host::new();
    let request = host.request(json!({}));
    let slot = host.prepare(&request);
    let child = pidfd_open(wait_parked(&host, &request), PidfdFlags::empty()).unwrap();
    // As when the service is killed: its descriptors are closed, and nothing else happens.
    drop(slot);
    wait_readable(&child);
    host.engine
        .sweep(&[])
        .finish()
        .unwrap_or_else(|f| panic!("{f:#?}"));
}

fn what_is_discarded_leaves_nothing() {
    let host = Host::new();
    let request = host.request(json!({}));
    let slot = host.prepare(&request);
    slot.discard().unwrap_or_else(|f| panic!("{f:#?}"));
    assert_eq!(
        entries(&request.directory),
        Vec::<std::path::PathBuf>::new()
    );
}

fn one_that_has_died_is_refused_and_leaves_nothing() {
    let host = Host::new();
    let request = host.request(json!({}));
    let slot = host.prepare(&request);
    let child = pidfd_open(parked(&host, &request), PidfdFlags::empty()).unwrap();
    pidfd_send_signal(&child, Signal::KILL).unwrap();
    wait_readable(&child);
    slot.make(&request).expect_err("it is dead");
    // And the same can be made from scratch.
    let machine = host
        .engine
        .create(&request)
        .unwrap_or_else(|f| panic!("{f:#?}"));
    let container = Container::new(machine, request);
    container.wait_ready().unwrap_or_else(|f| panic!("{f:#?}"));
}

fn what_was_parked_is_swept() {
    let host = Host::new();
    let request = host.request(json!({}));
    let slot = host.prepare(&request);
    let child = pidfd_open(wait_parked(&host, &request), PidfdFlags::empty()).unwrap();
    host.engine
        .sweep(&[])
        .finish()
        .unwrap_or_else(|f| panic!("{f:#?}"));
    wait_readable(&child);
    drop(slot);
}

fn only_what_is_the_same_for_all_fits() {
    let host = Host::new();
    let request = host.request(json!({}));
    let slot = host.prepare(&request);
    let fits = |container| slot.fits(&host.request(container).document);
    assert!(fits(json!({})));
    assert!(fits(
        json!({ "Memory": { "SizeInMB": 64 }, "Processor": { "Count": 1 } })
    ));
    assert!(fits(json!({ "Networking": {} })));
    assert!(!fits(json!({ "Memory": { "SizeInMB": 1 } })));
    assert!(!fits(json!({ "Networking": { "Namespace": "named" } })));
    assert!(!fits(json!({ "Storage": { "Path": "/tmp" } })));
    let has = Mode::get().has_user_namespace();
    assert!(fits(json!({ "UserNamespace": has })));
    assert!(!fits(json!({ "UserNamespace": !has })));
    let other = host.request(json!({ "UserNamespace": !has }));
    let other_slot = host.prepare(&other);
    assert!(other_slot.fits(&other.document) && !other_slot.fits(&request.document));
    other_slot.discard().unwrap_or_else(|f| panic!("{f:#?}"));
    let never = host.request(json!({ "Memory": { "SizeInMB": 1 } }));
    assert!(host.prepare_if_possible(&never).is_none());
    slot.discard().unwrap_or_else(|f| panic!("{f:#?}"));
}

fn a_warm_container_is_like_a_cold_one() {
    let host = Host::new();
    let document = json!({
        "GuestOs": { "HostName": "same" },
        "Memory": { "SizeInMB": 64 },
        "Processor": { "Count": 1, "Weight": 200 },
    });
    let cold_request = host.request(document.clone());
    let cold = host
        .engine
        .create(&cold_request)
        .unwrap_or_else(|f| panic!("{f:#?}"));
    let cold = Container::new(cold, cold_request);
    cold.wait_ready().unwrap_or_else(|f| panic!("{f:#?}"));
    let request = host.request(document);
    let slot = host.prepare(&request);
    let warm = make(slot, request);
    let look = [
        // Mounts: where, from what, how; without the numbers, the layers' descriptors and the host's ids of a range.
        r"sed -E 's/^[0-9]+ [0-9]+ [0-9]+:[0-9]+ //; s/lowerdir=.*//; s/(upper|work)dir=.*//; s/([ug]id=)[0-9]{10}/\1/g' /proc/self/mountinfo",
        "grep -E '^(Cap|NoNewPrivs|Seccomp|Groups|Uid|Gid|SigBlk|SigIgn|SigCgt)' /proc/self/status",
        "grep -E '^(Cap|NoNewPrivs|Seccomp|Groups|Uid|Gid|SigIgn|SigCgt)' /proc/1/status",
        "cat /proc/1/limits /proc/1/oom_score_adj; hostname; id",
        "ls -ln --time-style=+ /dev /dev/pts /dev/shm /sys/fs/cgroup | sed 's/^total.*//'",
        "cat /sys/class/net/lo/flags; ls /sys/class/net; cat /proc/self/cgroup",
        "ls /proc/self/fd; cat /proc/1/comm; ls -l /proc | wc -l > /dev/null; pwd",
        "cut -d ' ' -f 1,5,6 /proc/1/stat",
    ];
    for script in look {
        assert_eq!(warm.shell(script), cold.shell(script), "{script}");
    }
    let limits = |container: &Container| -> Vec<(String, String)> {
        let files = [
            "memory.limit_in_bytes",
            "memory.max",
            "cpu.shares",
            "cpu.weight",
            "cpu.max",
            "cpu.cfs_quota_us",
            "pids.max",
            "devices.list",
        ];
        let mut found = Vec::new();
        for group in host.groups() {
            for file in files {
                let path = group.join(&container.request.runtime_id).join(file);
                if let Ok(text) = fs::read_to_string(path) {
                    found.push((file.to_owned(), text));
                }
            }
        }
        found
    };
    assert_eq!(limits(&warm), limits(&cold));
    assert!(!limits(&warm).is_empty());
}
