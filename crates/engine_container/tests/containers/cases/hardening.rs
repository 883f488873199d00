//! What a container's processes may not do, root in it included.

use std::{fs, os::unix::fs::MetadataExt};

use serde_json::json;

use crate::host::{Container, Host, in_private_mounts};

super::cases![
    capabilities_are_the_usual_few,
    system_calls_are_filtered,
    new_privileges_are_out_of_reach,
    devices_of_the_host_cannot_be_used,
    nodes_do_not_work_where_nothing_controls_devices,
    pid_1_cannot_be_looked_into,
    the_agent_has_nothing_but_its_socket,
    namespaces_and_mounts_are_refused,
];

/// A line of `/proc/self/status` of a process started in the container.
fn status(container: &Container, key: &str) -> String {
    container.shell(&format!("sed -n 's/^{key}:\\s*//p' /proc/self/status"))
}

fn capabilities_are_the_usual_few() {
    let host = Host::new();
    let container = host.start(json!({}));
    // chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap, net_bind_service, net_raw, sys_chroot,
    // mknod, audit_write, setfcap: the number that Docker's containers show as well.
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(status(&container, set), "00000000a80425fb", "{set}");
    }
    for set in ["CapInh", "CapAmb"] {
        assert_eq!(status(&container, set), "0000000000000000", "{set}");
    }
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
    let container = host.start(json!({}));
    // Any node may be made, even of a device that is there: the kernel's log and the disk of every virtual machine.
    let disk = fs::metadata("/sys/dev/block")
        .map(|_| container.shell("ls /sys/dev/block | head -1"))
        .unwrap();
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

fn nodes_do_not_work_where_nothing_controls_devices() {
    // No hierarchy, so neither a program nor a controller: the mounts have to do it.
    let case = "hardening::nodes_do_not_work_where_nothing_controls_devices";
    if !in_private_mounts(case, "umount -l /sys/fs/cgroup") {
        return;
    }
    let host = Host::new();
    let container = host.start(json!({}));
    assert_eq!(status(&container, "CapBnd"), "00000000a00425fb");
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

fn the_agent_has_nothing_but_its_socket() {
    let host = Host::new();
    let container = host.start(json!({}));
    let directory = format!("/proc/{}", container.recorded("Pid"));
    let mut descriptors: Vec<(String, String)> = fs::read_dir(format!("{directory}/fd"))
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let target = match fs::metadata(entry.path()).unwrap().rdev() {
                0 => fs::read_link(entry.path()).unwrap().display().to_string(),
                device => format!(
                    "device {}:{}",
                    rustix::fs::major(device),
                    rustix::fs::minor(device)
                ),
            };
            (entry.file_name().into_string().unwrap(), target)
        })
        .collect();
    descriptors.sort();
    let [zero, one, two, (three, socket)] = descriptors.as_slice() else {
        panic!("{descriptors:?}")
    };
    for (number, standard) in ["0", "1", "2"].iter().zip([zero, one, two]) {
        assert_eq!(
            (standard.0.as_str(), standard.1.as_str()),
            (*number, "device 1:3")
        );
    }
    assert_eq!(three, "3");
    assert!(socket.starts_with("socket:"), "{socket}");
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
