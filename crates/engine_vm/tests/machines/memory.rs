//! Memory that the host keeps for a machine.

use std::fs;

use hcs_engine::engine::Exit;
use hcs_schema::HResult;
use rustix::{
    process::{Resource, getrlimit},
    thread::{CapabilitySet, capabilities},
};
use serde_json::json;

use crate::{cases::Case, host::Host};

pub(crate) const CASES: &[Case] = &[(
    "memory_that_is_physical_is_held_before_the_guest_touches_it",
    memory_that_is_physical_is_held_before_the_guest_touches_it,
)];

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
    running.machine.kill().unwrap();
    assert_eq!(running.end(), Exit::Killed);
}

/// Whether the kernel lets this process, and so a worker, lock so many bytes.
fn may_lock(bytes: u64) -> bool {
    let own = capabilities(None).unwrap();
    let most = getrlimit(Resource::Memlock).current;
    own.effective.contains(CapabilitySet::IPC_LOCK) || most.is_none_or(|most| most >= bytes)
}
