//! Warm slots, through a real service.

use std::{collections::BTreeSet, fs};

use hcs_wire::service::Call;
use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};

use crate::common::{
    Service, await_that,
    client::{CONTAINER, create_system, shell, start_system},
};

#[test]
fn nothing_is_kept_ready_until_a_client_creates_and_nothing_where_that_is_not_wanted() {
    let service = Service::new();
    service
        .client()
        .call(&Call::EnumerateSystems { query: None })
        .ok();
    assert_eq!(service.ready(), Vec::<String>::new());
    let service = Service::with_config("warm_slots = 0\n");
    let mut client = service.client();
    client.start_container(1, "cold");
    assert!(!service.root().join("slots").exists());
    client.terminate(1);
}

#[test]
fn what_is_ready_becomes_a_system_and_is_replaced() {
    let service = Service::with_config("warm_slots = 3\n");
    let mut client = service.client();
    client.start_container(1, "first");
    for system in 2..6 {
        // The first of them can be taken when the next one is being made.
        await_that("three are there", || service.ready().len() == 3);
        let ready: BTreeSet<_> = service.ready().into_iter().collect();
        let made = client.call(&create_system(system, &format!("warm {system}"), CONTAINER));
        let runtime_id = made.ok().reply.runtime_id.unwrap();
        assert!(ready.contains(&runtime_id), "{runtime_id} of {ready:?}");
        client.call(&start_system(system)).ok();
        let mut process = client.create_process(system, 10 + system, &shell("echo warm; exit 3"));
        assert_eq!(process.output(), "warm\n");
        assert_eq!(client.exit_code(10 + system), 3);
    }
    let listed = client.call(&Call::EnumerateSystems { query: None }).ok();
    assert_eq!(
        listed.json().as_array().unwrap().len(),
        5,
        "slots are no systems"
    );
    for system in 1..6 {
        client.terminate(system);
    }
}

#[test]
fn what_cannot_be_made_from_what_is_ready_is_made_all_the_same() {
    let service = Service::with_config("warm_slots = 1\n");
    let mut client = service.client();
    client.start_container(1, "first");
    await_that("one is parked", || {
        members(&service, &service.ready()).len() == 1
    });
    let ready = service.ready();
    // Its process is killed from outside.
    for pid in members(&service, &ready) {
        crate::common::kill(pid);
    }
    client.call(&create_system(2, "second", CONTAINER)).ok();
    client.call(&start_system(2)).ok();
    client.terminate(1);
    client.terminate(2);
}

#[test]
fn what_was_ready_ends_with_a_killed_service_and_is_cleared_away() {
    let mut service = Service::new();
    let mut client = service.client();
    client.start_container(1, "survivor");
    await_that("two are parked", || {
        members(&service, &service.ready()).len() == 2
    });
    let ready = service.ready();
    let mut children = Vec::new();
    for pid in members(&service, &ready) {
        children.push(pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap());
    }
    assert_eq!(children.len(), 2);
    service.kill();
    for child in &children {
        poll(&mut [PollFd::new(child, PollFlags::IN)], None).unwrap();
    }
    service.run();
    assert_eq!(service.ready(), Vec::<String>::new());
    let mut client = service.client();
    client
        .call(&Call::OpenSystem {
            system: 1,
            id: "survivor".to_owned(),
            runtime_id: None,
        })
        .ok();
    client.terminate(1);
}

/// Pids of the processes in the control groups with these names.
fn members(service: &Service, names: &[String]) -> Vec<i32> {
    let mut pids = BTreeSet::new();
    for hierarchy in crate::common::hierarchies() {
        for name in names {
            let file = hierarchy
                .join(&service.cgroup_root)
                .join(name)
                .join("cgroup.procs");
            let text = fs::read_to_string(file).unwrap_or_default();
            pids.extend(text.lines().filter_map(|pid| pid.parse::<i32>().ok()));
        }
    }
    pids.into_iter().collect()
}
