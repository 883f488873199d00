//! What a container sees of itself and of the host.

use std::fs;

use serde_json::json;

use crate::host::Host;

super::cases![
    a_container_has_a_name_and_is_removed,
    the_document_names_the_host,
    no_namespace_is_the_hosts,
    only_its_own_processes_are_seen,
    the_network_is_a_loopback_that_works,
    a_named_network_is_joined,
    its_control_groups_look_like_roots,
];

fn a_container_has_a_name_and_is_removed() {
    let host = Host::new();
    let container = host.start(json!({}));
    let digits = container
        .request
        .runtime_id
        .chars()
        .filter(char::is_ascii_hexdigit);
    assert_eq!(
        container.shell("hostname"),
        digits.take(12).collect::<String>()
    );
}

fn the_document_names_the_host() {
    let host = Host::new();
    let container = host.start(json!({ "GuestOs": { "HostName": "web-1.example" } }));
    assert_eq!(container.shell("hostname"), "web-1.example");
}

fn no_namespace_is_the_hosts() {
    let host = Host::new();
    let container = host.start(json!({}));
    for kind in ["mnt", "pid", "uts", "ipc", "net", "cgroup"] {
        let link = format!("/proc/self/ns/{kind}");
        let inside = container.shell(&format!("readlink {link}"));
        let outside = fs::read_link(&link).unwrap();
        assert!(inside.starts_with(kind), "{inside}");
        assert_ne!(inside, outside.to_str().unwrap());
    }
}

fn only_its_own_processes_are_seen() {
    let host = Host::new();
    let container = host.start(json!({}));
    let seen = container.shell("cat /proc/[0-9]*/comm");
    let mut names: Vec<&str> = seen.lines().collect();
    names.sort_unstable();
    assert_eq!(names, ["hcs-agent", "sh"]);
    assert_eq!(container.shell("echo $PPID"), "1");
}

fn the_network_is_a_loopback_that_works() {
    let host = Host::new();
    let container = host.start(json!({}));
    assert_eq!(container.shell("ls /sys/class/net"), "lo");
    let flags = container.shell("cat /sys/class/net/lo/flags");
    let flags = u32::from_str_radix(flags.trim_start_matches("0x"), 16).unwrap();
    assert_eq!(flags & 1, 1, "lo is not up");
    // The kernel adds the loopback addresses when the interface is set up.
    assert!(
        container
            .shell("cat /proc/net/fib_trie")
            .contains("127.0.0.1")
    );
    assert!(
        container
            .shell("cat /proc/net/if_inet6")
            .contains("00000000000000000000000000000001")
    );
}

fn a_named_network_is_joined() {
    let host = Host::new();
    let first = host.start(json!({}));
    let network = format!("/proc/{}/ns/net", first.recorded("Pid"));
    let second = host.start(json!({ "Networking": { "Namespace": network } }));
    let link = "readlink /proc/self/ns/net";
    assert_eq!(first.shell(link), second.shell(link));
    assert_ne!(
        first.shell("readlink /proc/self/ns/uts"),
        second.shell("readlink /proc/self/ns/uts")
    );
}

fn its_control_groups_look_like_roots() {
    let host = Host::new();
    let container = host.start(json!({}));
    let groups = container.shell("cat /proc/self/cgroup");
    let ours = |line: &&str| {
        ["memory", "pids", "cpu"]
            .iter()
            .any(|name| line.split(':').nth(1) == Some(name))
    };
    for line in groups
        .lines()
        .filter(|line| line.starts_with("0::") || ours(line))
    {
        assert!(line.ends_with(":/"), "{groups}");
    }
}
