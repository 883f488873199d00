//! Hosts with one version of control groups only: the same must hold there. Controllers stay where this host has bound
//! them, so a unified hierarchy alone has none here.

use std::fs;

use hcs_schema::HResult;
use serde_json::json;

use super::{hardening, life, limits};
use crate::host::{Host, in_private_mounts};

super::cases![
    version_1_limits,
    version_1_freezes_and_kills,
    version_1_controls_devices,
    version_1_is_swept,
    version_2_freezes_and_kills,
    version_2_controls_devices,
    version_2_is_swept,
    version_2_shows_the_container_its_group,
];

const VERSION_1: &str = "umount /sys/fs/cgroup/unified";
const VERSION_2: &str = "umount -l /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup";

fn version_1_limits() {
    if in_private_mounts("layouts::version_1_limits", VERSION_1) {
        limits::memory_is_limited_and_the_agent_survives();
        limits::the_number_of_processes_is_limited();
    }
}

fn version_1_freezes_and_kills() {
    if in_private_mounts("layouts::version_1_freezes_and_kills", VERSION_1) {
        life::pausing_stops_and_resuming_continues();
        life::a_paused_machine_can_be_killed();
        life::killing_ends_every_process();
    }
}

fn version_1_controls_devices() {
    if in_private_mounts("layouts::version_1_controls_devices", VERSION_1) {
        hardening::devices_of_the_host_cannot_be_used();
        // A container that is kept ready may be making its own nodes when it is allowed one more.
        for _ in 0..20 {
            hardening::a_device_is_used_as_far_as_it_was_asked_for();
        }
        let host = Host::new();
        let container = host.start(json!({}));
        let rules = format!(
            "/sys/fs/cgroup/devices/{}/{}/devices.list",
            host.config.cgroup_root, container.request.runtime_id
        );
        assert!(!fs::read_to_string(rules).unwrap().contains("a *:* rwm"));
    }
}

fn version_1_is_swept() {
    if in_private_mounts("layouts::version_1_is_swept", VERSION_1) {
        life::leftovers_are_swept_and_others_kept();
        life::a_machine_outlives_its_engine_and_is_adopted();
    }
}

fn version_2_freezes_and_kills() {
    if in_private_mounts("layouts::version_2_freezes_and_kills", VERSION_2) {
        life::pausing_stops_and_resuming_continues();
        life::a_paused_machine_can_be_killed();
        life::killing_ends_every_process();
    }
}

fn version_2_controls_devices() {
    if in_private_mounts("layouts::version_2_controls_devices", VERSION_2) {
        hardening::devices_of_the_host_cannot_be_used();
        hardening::a_device_is_used_as_far_as_it_was_asked_for();
    }
}

fn version_2_is_swept() {
    if in_private_mounts("layouts::version_2_is_swept", VERSION_2) {
        life::leftovers_are_swept_and_others_kept();
    }
}

fn version_2_shows_the_container_its_group() {
    if !in_private_mounts(
        "layouts::version_2_shows_the_container_its_group",
        VERSION_2,
    ) {
        return;
    }
    let host = Host::new();
    let container = host.start(json!({}));
    assert_eq!(container.shell("stat -f -c %T /sys/fs/cgroup"), "cgroup2fs");
    // Its own group is the root of what it sees: pid 1 is in it, and no processes of others are.
    assert!(
        container
            .shell("cat /sys/fs/cgroup/cgroup.procs")
            .lines()
            .any(|pid| pid == "1")
    );
    assert_ne!(container.run(&["mkdir", "/sys/fs/cgroup/mine"]).code, 0);
    // The controllers of this host are bound elsewhere.
    if !fs::read_to_string("/sys/fs/cgroup/cgroup.controllers")
        .unwrap()
        .contains("memory")
    {
        let failure = host.failure(json!({ "Memory": { "SizeInMB": 64 } }));
        assert_eq!(failure.hresult, HResult::NOT_SUPPORTED);
    }
}
