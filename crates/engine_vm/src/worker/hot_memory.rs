//! Memory that comes on top of what the guest began with. The guest takes it and gives it back by itself, so it takes
//! time.

use std::time::Duration;

use serde_json::json;

use crate::{
    argv::hot_memory_port::{self, BACKEND, DEVICE},
    hot_memory::Granted,
    protocol::WorkerAnswer,
    qmp::{
        Client, QmpError,
        command::{DeviceAdd, ObjectAdd, ObjectDel, QomGet, QomSet, QueryStatus},
    },
};

/// How long QEMU may take for a command.
const LIMIT: Duration = Duration::from_secs(4);

/// Has the guest take so many megabytes from the device, or give back what it has beyond. The device is plugged in when
/// it is needed first, with the most megabytes that it can have.
pub(super) fn resize(
    monitor: &mut Client,
    granted: &mut Granted,
    megabytes: u64,
    most_mb: u64,
) -> Result<WorkerAnswer, QmpError> {
    if !monitor.execute(&QueryStatus, LIMIT)?.running {
        let why = "the machine stands still, so its guest takes no memory and gives none back: resume it first";
        return Ok(WorkerAnswer::StandsStill(why.to_owned()));
    }
    granted.ask(megabytes);
    let requested = QomSet {
        path: path(),
        property: "requested-size",
        value: json!(megabytes << 20),
    };
    match monitor.execute(&requested, LIMIT) {
        Ok(_) => {}
        // There is no device, so nothing is on top.
        Err(QmpError::Refused(..)) if megabytes == 0 => {}
        Err(QmpError::Refused(..)) => plug(monitor, megabytes, most_mb)?,
        Err(other) => return Err(other),
    }
    Ok(WorkerAnswer::Done)
}

fn plug(monitor: &mut Client, megabytes: u64, most_mb: u64) -> Result<(), QmpError> {
    let memory = hot_memory_port::backend(most_mb << 20);
    // It may be there of an earlier attempt, whose answer was late; QEMU refuses a device without one.
    let _there_or_refused = monitor.execute(&ObjectAdd(memory), LIMIT);
    let device = hot_memory_port::device(megabytes << 20);
    let plugged = monitor.execute(&DeviceAdd(device), LIMIT);
    if matches!(plugged, Err(QmpError::Refused(..))) {
        let _in_use_perhaps = monitor.execute(&ObjectDel(json!(BACKEND)), LIMIT);
    }
    plugged.map(drop)
}

/// How much the guest has from the device, in megabytes: what QEMU says, and no more than was granted.
pub(super) fn size(monitor: &mut Client, granted: &mut Granted) -> Result<u64, QmpError> {
    let size = QomGet {
        path: path(),
        property: "size",
    };
    match monitor.execute(&size, LIMIT) {
        Ok(value) => Ok(granted.has(value.as_u64().unwrap_or_default() >> 20)),
        Err(QmpError::Refused(..)) => Ok(0),
        Err(other) => Err(other),
    }
}

fn path() -> String {
    format!("/machine/peripheral/{DEVICE}")
}
