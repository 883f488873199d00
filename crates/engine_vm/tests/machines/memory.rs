//! Memory that the host keeps for a machine.

use std::fs;

use hcs_engine::engine::{Exit, Machine};
use hcs_schema::{Failure, HResult, documents::PauseOptions};
use rustix::{
    process::{Resource, getrlimit},
    thread::{CapabilitySet, capabilities},
};
use serde_json::json;

use crate::{
    cases::Case,
    host::{Host, host_change},
};

pub(crate) const CASES: &[Case] = &[
    (
        "memory_that_is_physical_is_held_before_the_guest_touches_it",
        memory_that_is_physical_is_held_before_the_guest_touches_it,
    ),
    (
        "a_size_of_memory_that_cannot_be_is_told",
        a_size_of_memory_that_cannot_be_is_told,
    ),
];

fn resized(machine: &dyn Machine, megabytes: u64) -> Result<(), Failure> {
    let path = "VirtualMachine/ComputeTopology/Memory/SizeInMB";
    let request = json!({"ResourcePath": path, "RequestType": "Update", "Settings": megabytes});
    machine.modify(&host_change(&request).unwrap())
}

fn a_size_of_memory_that_cannot_be_is_told() {
    let host = Host::new();
    let running = host.start();
    host.com().booted();
    let machine = &*running.machine;
    // It has this, and needs no device for it.
    resized(machine, 16).unwrap();
    for megabytes in [0, 15, 16 + 129] {
        let refused = resized(machine, megabytes).unwrap_err();
        assert_eq!(refused.hresult, HResult::E_INVALIDARG, "{refused}");
        assert_eq!(refused.causes[0].pointer.as_deref(), Some("/Settings"));
        assert!(refused.message.contains("up to 144 MB"), "{refused}");
    }
    machine.pause(&PauseOptions::default()).unwrap();
    let refused = resized(machine, 32).unwrap_err();
    assert_eq!(refused.hresult, HResult::HCS_E_INVALID_STATE, "{refused}");
    machine.kill().unwrap();
    assert_eq!(running.end(), Exit::Killed);
}

fn memory_that_is_physical_is_held_before_the_guest_touches_it() {
    let host = Host::new();
    let physical = |megabytes: u64, machine: &mut serde_json::Value| {
        machine["ComputeTopology"]["Memory"] =
            json!({"SizeInMB": megabytes, "Backing": "Physical"});
    };
    let refused = host.refused(&host.document(|machine| physical(4 << 20, machine)));
    assert_eq!(refused.hresult, HResult::E_OUTOFMEMORY, "{refused}");
    let pointer = refused.causes[0].pointer.as_deref();
    assert_eq!(
        pointer,
        Some("/VirtualMachine/ComputeTopology/Memory/Backing")
    );

    if !may_lock(64 << 20) {
        return;
    }
    let running = host.start_with(|machine| physical(64, machine));
    host.com().booted();
    let status = fs::read_to_string(format!("/proc/{}/status", running.worker())).unwrap();
    let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:"));
    assert_eq!(locked.unwrap().trim(), "65536 kB");
    let refused = resized(&*running.machine, 128).unwrap_err();
    assert_eq!(refused.hresult, HResult::HCS_E_INVALID_STATE, "{refused}");
    running.machine.kill().unwrap();
    assert_eq!(running.end(), Exit::Killed);
}

/// Whether the kernel lets this process, and so a worker, lock so many bytes.
fn may_lock(bytes: u64) -> bool {
    let own = capabilities(None).unwrap();
    let most = getrlimit(Resource::Memlock).current;
    own.effective.contains(CapabilitySet::IPC_LOCK) || most.is_none_or(|most| most >= bytes)
}
