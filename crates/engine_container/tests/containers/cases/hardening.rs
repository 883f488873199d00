//! What a container's processes may not do, root in it included.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::{MetadataExt, PermissionsExt as _},
    path::Path,
};

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use serde_json::json;

use crate::host::{Container, Host, in_private_mounts};

super::cases![
    capabilities_are_the_usual_few,
    capabilities_that_are_named_are_there_and_dropped_ones_can_be_had,
    sockets_are_of_families_that_are_listed,
    packets_are_for_those_who_were_given_them,
    what_other_engines_hide_is_hidden,
    every_user_may_ping_and_bind_low_ports,
    system_calls_are_filtered,
    new_privileges_are_out_of_reach,
    devices_of_the_host_cannot_be_used,
    nodes_of_a_layer_open_nothing,
    a_device_is_used_as_far_as_it_was_asked_for,
    nodes_do_not_work_where_nothing_controls_devices,
    pid_1_cannot_be_looked_into,
    the_agent_has_nothing_but_its_socket,
    namespaces_and_mounts_are_refused,
];

/// A line of `/proc/self/status` of a process started in the container.
fn status(container: &Container, key: &str) -> String {
    container.shell(&format!("sed -n 's/^{key}:\\s*//p' /proc/self/status"))
}

/// Row S12.
fn capabilities_are_the_usual_few() {
    let host = Host::new();
    let container = host.start(json!({}));
    // chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap, net_bind_service, sys_chroot, setfcap: those
    // that Podman's containers show as well.
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(status(&container, set), "00000000800405fb", "{set}");
    }
    for set in ["CapInh", "CapAmb"] {
        assert_eq!(status(&container, set), "0000000000000000", "{set}");
    }
}

fn capabilities_that_are_named_are_there_and_dropped_ones_can_be_had() {
    let host = Host::new();
    let more = host.start(json!({ "AddCapabilities": ["NET_RAW"] }));
    assert_eq!(status(&more, "CapBnd"), "00000000800425fb");
    // What a container drops its processes have not by themselves; which the real agent sees to. Adding one is possible
    // still, so it stays in the bounding set.
    let fewer = host.start(json!({ "DropCapabilities": ["ALL"] }));
    assert_eq!(status(&fewer, "CapBnd"), "00000000800405fb");
}

/// Row S12.
fn sockets_are_of_families_that_are_listed() {
    let host = Host::new();
    let container = host.start(json!({}));
    let call = libc::SYS_socket;
    for family in 0..64 {
        let expected = match family {
            libc::AF_UNIX | libc::AF_INET | libc::AF_INET6 | libc::AF_NETLINK => 0,
            _ => libc::EAFNOSUPPORT,
        };
        // SOCK_DGRAM, and netlink for routes.
        let found = errno(&container, &format!("{call}, {family}, 2, 0"));
        assert_eq!(found, expected.to_string(), "family {family}");
    }
    for (protocol, expected) in [
        (libc::NETLINK_INET_DIAG, 0),
        (libc::NETLINK_AUDIT, libc::EPROTONOSUPPORT),
        (libc::NETLINK_NETFILTER, libc::EPROTONOSUPPORT),
        (libc::NETLINK_CRYPTO, libc::EPROTONOSUPPORT),
    ] {
        let found = errno(&container, &format!("{call}, 16, 3, {protocol}"));
        assert_eq!(found, expected.to_string(), "netlink {protocol}");
    }
    // Raw sockets are the kernel's to refuse.
    let raw = errno(&container, &format!("{call}, 2, 3, 1"));
    assert_eq!(raw, libc::EPERM.to_string());
}

fn packets_are_for_those_who_were_given_them() {
    let host = Host::new();
    let container = host.start(json!({ "AddCapabilities": ["CAP_NET_RAW"] }));
    for arguments in ["17, 3, 0", "2, 3, 1"] {
        let found = errno(&container, &format!("{}, {arguments}", libc::SYS_socket));
        assert_eq!(found, "0", "{arguments}");
    }
}

/// What Podman and Docker hide in `/proc` and `/sys`, and what they make read-only: the lists of `containers/common`
/// and of Docker's default specification. No package has them as a file; Podman's program has them in itself.
const HIDDEN_BY_OTHERS: [&str; 15] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/dev/block",
    "/sys/devices/system/cpu/cpu*/thermal_throttle",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/selinux",
];
const READ_ONLY_FOR_OTHERS: [&str; 6] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
    "/sys/fs/cgroup",
];

/// Where Debian installs Podman, if it is there.
const PODMAN: &str = "/usr/bin/podman";
/// What only versions after that of Debian 12 hide.
const HIDDEN_BY_NEWER: [&str; 3] = [
    "/proc/interrupts",
    "/sys/devices/system/cpu/cpu*/thermal_throttle",
    "/sys/devices/virtual/powercap",
];

/// Whether each of these paths is in Podman's program, so that the lists above have nothing that was made up.
fn assert_known_to_podman() {
    let Ok(program) = fs::read(PODMAN) else {
        return;
    };
    let listed = HIDDEN_BY_OTHERS.iter().chain(&READ_ONLY_FOR_OTHERS);
    let mut unknown: Vec<&str> = listed.copied().collect();
    unknown.retain(|path| !HIDDEN_BY_NEWER.contains(path));
    for at in (0..program.len()).filter(|at| program[*at] == b'/') {
        unknown.retain(|path| !program[at..].starts_with(path.as_bytes()));
    }
    assert!(unknown.is_empty(), "{PODMAN} does not name {unknown:?}");
}

/// Row S12.
fn what_other_engines_hide_is_hidden() {
    assert_known_to_podman();
    let host = Host::new();
    let container = host.start(json!({}));
    let mut there = 0;
    for pattern in HIDDEN_BY_OTHERS {
        // Directories have no entries, files no bytes.
        let found = container.shell(&format!(
            "for i in {pattern}; do
                 [ -e $i ] || continue
                 echo -n .
                 if [ -d $i ]; then ls -A $i; else head -c 1 $i; fi
             done"
        ));
        there += found.len();
        assert_eq!(found.trim_matches('.'), "", "{pattern}");
    }
    assert!(there > 3, "this kernel has none of them");
    for path in READ_ONLY_FOR_OTHERS {
        let found = container.shell(&format!(
            "[ ! -e {path} ] || findmnt -n -o OPTIONS --target {path}"
        ));
        assert!(
            found.is_empty() || found.starts_with("ro"),
            "{path}: {found}"
        );
    }
}

/// Row F12.
fn every_user_may_ping_and_bind_low_ports() {
    let host = Host::new();
    let container = host.start(json!({}));
    // SOCK_DGRAM of ICMP, and port 80 of every address.
    let script = r#"use Socket; socket(my $p, PF_INET, SOCK_DGRAM, 1) or die "ping: $!";
        socket(my $s, PF_INET, SOCK_STREAM, 0) or die; bind($s, sockaddr_in(80, INADDR_ANY)) or die "port: $!";"#;
    let outcome = container.run(&[
        "setpriv",
        "--reuid",
        "1000",
        "--regid",
        "1000",
        "--clear-groups",
        "perl",
        "-e",
        script,
    ]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    // Of this namespace only.
    let own = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    let inside = container.shell("cat /proc/sys/net/ipv4/ip_unprivileged_port_start");
    assert_eq!(inside, "0");
    assert_ne!(own.trim(), "0", "the host's own is untouched");
}

/// The errno of a system call that is made with small numbers as arguments.
fn errno(container: &Container, arguments: &str) -> String {
    container.shell(&format!(
        "perl -e '$! = 0; syscall({arguments}); print $! + 0'"
    ))
}

fn system_calls_are_filtered() {
    let host = Host::new();
    let container = host.start(json!({}));
    assert_eq!(status(&container, "Seccomp"), "2");
    let errnos = [
        // Without the filter: EFAULT, a keyring, EINVAL, a socket.
        (libc::SYS_io_uring_setup, "1, 0", libc::EPERM),
        (libc::SYS_keyctl, "0, -3, 0", libc::EPERM),
        (libc::SYS_clone3, "0, 0", libc::ENOSYS),
        (libc::SYS_socket, "38, 5, 0", libc::EAFNOSUPPORT),
        (libc::SYS_vmsplice, "0, 0, 0, 0", libc::EPERM),
        // And what is allowed is.
        (libc::SYS_socket, "1, 1, 0", 0),
        (libc::SYS_getpid, "0", 0),
        (libc::SYS_memfd_create, "0, 0", libc::EFAULT),
    ];
    for (call, arguments, expected) in errnos {
        let found = errno(&container, &format!("{call}, {arguments}"));
        assert_eq!(found, expected.to_string(), "call {call} with {arguments}");
    }
}

fn new_privileges_are_out_of_reach() {
    let host = Host::new();
    let container = host.start(json!({}));
    assert_eq!(status(&container, "NoNewPrivs"), "1");
    // A set-user-ID program gives a user nothing.
    let script = "cp /usr/bin/id /opt/id && chmod 4755 /opt/id && setpriv --reuid 1000 --clear-groups /opt/id -u";
    assert_eq!(container.shell(script), "1000");
}

pub(super) fn devices_of_the_host_cannot_be_used() {
    let host = Host::new();
    assert_ne!(
        host.start(json!({}))
            .run(&["mknod", "/tmp/null", "c", "1", "3"])
            .code,
        0
    );
    let container = host.start(json!({ "AddCapabilities": ["CAP_MKNOD"] }));
    // Any node may be made then, even of a device that is there: the kernel's log and the disk of every virtual
    // machine.
    let disks = crate::host::entries("/sys/dev/block".as_ref());
    let disk = disks[0].file_name().unwrap().to_str().unwrap();
    let (major, minor) = disk.split_once(':').unwrap();
    container.shell(&format!(
        "mknod /tmp/disk b {major} {minor} && mknod /tmp/kmsg c 1 11 && mknod /tmp/null c 1 3"
    ));
    for node in ["disk", "kmsg"] {
        let outcome = container.run(&["head", "-c", "1", &format!("/tmp/{node}")]);
        assert!(
            outcome.stderr.contains("Operation not permitted"),
            "{outcome:?}"
        );
    }
    container.shell("echo gone > /tmp/null");
}

/// By `/proc/PID/root` a process of the host reaches the files of a container in which its user has a process. No rules
/// for devices hold for it there.
fn nodes_of_a_layer_open_nothing() {
    let host = Host::new();
    let layer = host.files.path().join("layer");
    fs::create_dir(&layer).unwrap();
    let node = layer.join("node");
    let mode = Mode::from_raw_mode(0o666);
    mknodat(CWD, &node, FileType::CharacterDevice, mode, makedev(1, 3)).unwrap();
    fs::File::open(&node).unwrap();
    let container =
        host.start(json!({ "Storage": { "Layers": [{ "Path": layer }, { "Path": "/" }] } }));
    let seen = format!("/proc/{}/root/node", container.recorded("Pid"));
    let error = fs::File::open(seen).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EACCES), "{error}");
    assert_ne!(container.run(&["sh", "-c", "exec 3</node"]).code, 0);
}

pub(super) fn a_device_is_used_as_far_as_it_was_asked_for() {
    let host = Host::new();
    let disks = crate::host::entries("/sys/dev/block".as_ref());
    let number = |disk: &Path| {
        let name = disk.file_name().unwrap().to_str().unwrap().to_owned();
        let (major, minor) = name.split_once(':').unwrap();
        makedev(major.parse().unwrap(), minor.parse().unwrap())
    };
    let node = |name: &str, disk: &Path| {
        let path = host.files.path().join(name);
        let mode = Mode::from_raw_mode(0o666);
        mknodat(CWD, &path, FileType::BlockDevice, mode, number(disk)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        path
    };
    let [one, two] = [node("one", &disks[0]), node("two", &disks[1])];
    let asked = json!([{ "HostPath": one, "ContainerPath": "/dev/one", "Access": "r" }]);
    let container = host.start(json!({ "MappedDevices": asked }));
    let runs = |script: &str| container.run(&["sh", "-c", script]);
    assert_eq!(runs("exec 3</dev/one").code, 0);
    for refused in ["exec 3>>/dev/one", "exec 3<>/dev/one"] {
        let outcome = runs(refused);
        assert!(
            outcome.stderr.contains("Operation not permitted"),
            "{outcome:?}"
        );
    }
    // Its neighbour in a directory that is mapped is no device there.
    let mapped =
        json!([{ "HostPath": host.files.path(), "ContainerPath": "/seen", "ReadOnly": true }]);
    let asked = json!([{ "HostPath": two, "ContainerPath": "/dev/two" }]);
    let container = host.start(json!({ "MappedDevices": asked, "MappedDirectories": mapped }));
    let runs = |script: &str| container.run(&["sh", "-c", script]);
    assert_eq!(runs("exec 3<>/dev/two").code, 0);
    assert_ne!(runs("exec 3</seen/two").code, 0);
}

fn nodes_do_not_work_where_nothing_controls_devices() {
    // No hierarchy, so neither a program nor a controller: the mounts have to do it.
    let case = "hardening::nodes_do_not_work_where_nothing_controls_devices";
    if !in_private_mounts(case, "umount -l /sys/fs/cgroup") {
        return;
    }
    let host = Host::new();
    let container = host.start(json!({}));
    let failure = host.failure(json!({ "AddCapabilities": ["CAP_MKNOD"] }));
    assert!(failure.message.contains("CAP_MKNOD"), "{failure:#?}");
    assert_ne!(
        container.run(&["mknod", "/tmp/null", "c", "1", "3"]).code,
        0
    );
    let root = container.shell("grep ' / / ' /proc/self/mountinfo");
    assert!(root.contains("nodev"), "{root}");
    container.shell("echo gone > /dev/null");
}

fn pid_1_cannot_be_looked_into() {
    let host = Host::new();
    let container = host.start(json!({}));
    for file in ["exe", "root", "cwd", "fd/3", "ns/mnt"] {
        let outcome = container.run(&["readlink", &format!("/proc/1/{file}")]);
        assert_ne!(outcome.code, 0, "{file}: {outcome:?}");
    }
    for file in ["environ", "maps", "mem", "auxv"] {
        let outcome = container.run(&["head", "-c", "1", &format!("/proc/1/{file}")]);
        assert_ne!(outcome.code, 0, "{file}: {outcome:?}");
    }
}

/// What a descriptor leads to, as seen from the host.
fn what_is(descriptor: &Path) -> String {
    let found = fs::metadata(descriptor).unwrap();
    if found.is_dir() {
        let kind = rustix::fs::statfs(descriptor).unwrap().f_type;
        assert_eq!(found.ino(), 1, "the root");
        return format!("root of a file system {kind:x}");
    }
    match found.rdev() {
        0 => fs::read_link(descriptor).unwrap().display().to_string(),
        device => format!(
            "device {}:{}",
            rustix::fs::major(device),
            rustix::fs::minor(device)
        ),
    }
}

fn the_agent_has_nothing_but_its_socket() {
    let host = Host::new();
    let container = host.start(json!({}));
    // The look for an agent that listens was a connection, too: once this one is served, that one is closed.
    let mut stream = container.connect();
    stream.write_all(b"[\"true\"]\n").unwrap();
    let mut answer = String::new();
    BufReader::new(&stream).read_line(&mut answer).unwrap();
    let directory = format!("/proc/{}", container.recorded("Pid"));
    let mut descriptors: Vec<(String, String)> = fs::read_dir(format!("{directory}/fd"))
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, what_is(&entry.path()))
        })
        .collect();
    descriptors.sort();
    let (numbers, what): (Vec<_>, Vec<_>) = descriptors.into_iter().unzip();
    let expected = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    assert_eq!(numbers, expected, "{what:?}");
    // Directories of its own file systems, opened as mere paths, the file of names, that for what it leaves, and the
    // connection twice.
    let null = "device 1:3";
    assert_eq!(what[..3], [null; 3]);
    assert!(what[3].starts_with("socket:"), "{what:?}");
    assert_eq!(
        what[4..6],
        ["root of a file system 9fa0", "root of a file system 1cd1"]
    );
    for number in ["4", "5"] {
        let info = fs::read_to_string(format!("{directory}/fdinfo/{number}")).unwrap();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:\t"));
        let flags = i32::from_str_radix(flags.unwrap(), 8).unwrap();
        let expected = libc::O_PATH | libc::O_CLOEXEC;
        assert_eq!(flags & (expected | libc::O_ACCMODE), expected, "{info}");
    }
    assert!(
        what[6].starts_with("socket:") && what[6] == what[9],
        "{what:?}"
    );
    assert!(what[8].ends_with("/left.jsonl"), "{what:?}");
    let info = fs::read_to_string(format!("{directory}/fdinfo/8")).unwrap();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:\t"));
    let flags = i32::from_str_radix(flags.unwrap(), 8).unwrap();
    let expected = libc::O_WRONLY | libc::O_CLOEXEC;
    assert_eq!(flags & (expected | libc::O_ACCMODE), expected, "{info}");
    drop(stream);
    // Nor do they leave it: a process has neither, and cannot reach the agent's.
    for number in ["4", "5"] {
        let outcome = container.run(&["ls", &format!("/proc/1/fd/{number}/")]);
        assert_ne!(outcome.code, 0, "{outcome:?}");
    }
    let status = fs::read_to_string(format!("{directory}/status")).unwrap();
    let field = |key: &str| {
        let mut lines = status.lines().filter_map(|line| line.split_once(":\t"));
        lines.find(|(name, _)| *name == key).unwrap().1.to_owned()
    };
    assert_eq!(field("Umask"), "0022");
    assert_eq!(field("SigBlk"), "0000000000000000");
    assert_eq!(field("SigIgn"), "0000000000000000");
    assert_eq!(field("Threads"), "1");
    assert_eq!(fs::read(format!("{directory}/environ")).unwrap(), b"");
}

fn namespaces_and_mounts_are_refused() {
    let host = Host::new();
    let container = host.start(json!({}));
    for kind in ["--mount", "--user", "--net", "--pid", "--uts"] {
        let outcome = container.run(&["unshare", kind, "true"]);
        assert!(
            outcome.stderr.contains("Operation not permitted"),
            "{kind}: {outcome:?}"
        );
    }
    assert_ne!(
        container
            .run(&["mount", "-t", "tmpfs", "none", "/mnt"])
            .code,
        0
    );
    assert_ne!(container.run(&["umount", "/proc"]).code, 0);
    assert_ne!(container.run(&["hostname", "other"]).code, 0);
}
