//! The memory of a machine that runs: more of it, and less.
//!
//! The guest takes memory and gives it back by its own driver, so this asks for it and waits. A limit of the machine's
//! control group that is to rise rises before, one that is to fall falls afterwards.

use std::{
    thread,
    time::{Duration, Instant},
};

use hcs_engine::modification::{RESOURCE_PATH, SETTINGS};
use hcs_schema::{
    Failure, HResult,
    documents::{Properties, SystemPropertyType},
};

use super::VmMachine;
use crate::{
    hot_memory::HotMemory,
    protocol::{WorkerAnswer, WorkerRequest},
};

/// How long the guest may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(20);

const WHAT: &str = "given another size of memory";

/// Gives the guest so many megabytes.
///
/// # Errors
/// The size is not possible, the machine stands still, or the guest has not followed in time. Then it keeps what it
/// has.
pub(super) fn to(machine: &VmMachine, megabytes: u64) -> Result<(), Failure> {
    let memory = machine.record.memory.ok_or_else(|| {
        let message = "the memory of the virtual machine is held from the start, so it keeps its size (\"Backing\": \
                       \"Physical\"), or an earlier release made the machine";
        Failure::new(HResult::HCS_E_INVALID_STATE, message).cause_at(RESOURCE_PATH, message)
    })?;
    let wanted = memory.added(megabytes).map_err(|message| {
        Failure::new(HResult::E_INVALIDARG, message.clone()).cause_at(SETTINGS, message)
    })?;
    let before = added(machine, memory)?;
    if wanted > before {
        machine.record.groups.limit_memory(memory.limit(wanted))?;
    }
    let reached = request(machine, memory, wanted).and_then(|()| wait(machine, memory, wanted));
    // Where it failed, the guest has less, or still more.
    if let Ok(now) = added(machine, memory) {
        // QEMU says that itself: it gets no more than it had, or was to have.
        let now = now.min(before.max(wanted));
        // What of it QEMU has not let go of yet may keep the limit up: a limit that is too high harms no other machine
        // more than the size did that it had.
        let _stays = machine.record.groups.limit_memory(memory.limit(now));
    }
    reached
}

fn request(machine: &VmMachine, memory: HotMemory, wanted: u64) -> Result<(), Failure> {
    let request = WorkerRequest::ResizeMemory(wanted, memory.most_added_mb);
    machine.ask(WHAT, &request).map(drop)
}

fn wait(machine: &VmMachine, memory: HotMemory, wanted: u64) -> Result<(), Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = added(machine, memory)?;
        if now == wanted {
            return Ok(());
        }
        if Instant::now() >= deadline {
            // It is not to follow later.
            let _as_it_is = request(machine, memory, now);
            return Err(unfollowed(machine, memory, (wanted, now)));
        }
        thread::sleep(LOOK);
    }
}

fn unfollowed(machine: &VmMachine, memory: HotMemory, (wanted, now): (u64, u64)) -> Failure {
    let message = format!(
        "the virtual machine {:?} has {} MB of memory, and its guest has not come to {} MB within {} s",
        machine.id,
        memory.boot_mb.saturating_add(now),
        memory.boot_mb.saturating_add(wanted),
        PATIENCE.as_secs()
    );
    let why =
        "a guest takes memory by the driver virtio_mem, and gives back only what it does not use";
    Failure::new(HResult::HCS_E_OPERATION_TIMEOUT, message).cause(why)
}

/// What the guest has on top of what it began with, in megabytes.
fn added(machine: &VmMachine, memory: HotMemory) -> Result<u64, Failure> {
    match machine.ask("asked for its memory", &WorkerRequest::AddedMemory)? {
        // The worker of an earlier release passes on whatever QEMU says.
        WorkerAnswer::AddedMemory(megabytes) if megabytes > memory.most_added_mb => {
            let message = format!(
                "QEMU says that the virtual machine {:?} has {megabytes} MB on top of what it began with, and it can have \
                 {} MB: terminate it",
                machine.id, memory.most_added_mb
            );
            Err(Failure::new(HResult::E_UNEXPECTED, message))
        }
        WorkerAnswer::AddedMemory(megabytes) => Ok(megabytes),
        _ => {
            let message = "the worker of the virtual machine did not tell its memory";
            Err(Failure::new(HResult::E_UNEXPECTED, message))
        }
    }
}

/// The pages of a megabyte, in which memory is told.
const PAGES_OF_MB: u64 = 256;

/// What the guest has, and the use that the host has of it.
pub(super) fn property(machine: &VmMachine) -> Result<Option<Properties>, Failure> {
    let made = machine.record.made;
    let kind = SystemPropertyType::Memory;
    let mut property = machine.record.groups.property(made, kind);
    let memory = property.as_mut().and_then(|all| all.memory.as_mut());
    let memory = memory.and_then(|memory| memory.virtual_machine_memory.as_mut());
    if let Some(memory) = memory {
        // Where QEMU does not answer, that is unknown, and the rest is told.
        let more = match machine.record.memory {
            Some(hot) => added(machine, hot).ok(),
            None => Some(0),
        };
        let megabytes = more.map(|more| machine.boot_mb.saturating_add(more));
        memory.assigned_memory = megabytes.map(|all| all.saturating_mul(PAGES_OF_MB));
    }
    Ok(property)
}
