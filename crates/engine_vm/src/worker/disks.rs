//! Disks that come and go while the machine runs.

use std::{
    os::fd::{AsFd as _, OwnedFd},
    time::Duration,
};

use serde_json::json;

use crate::{
    argv::blockdev,
    disk::{Disk, Place},
    qmp::{
        Client, Event, QmpError,
        command::{AddFd, BlockdevAdd, BlockdevDel, DeviceAdd, DeviceDel, RemoveFd},
    },
};

/// How long QEMU may take for one step.
const LIMIT: Duration = Duration::from_secs(2);

/// QEMU's words for a node that is not there; a node in use is refused in others.
const NO_NODE: &str = "find node";

/// Plugs a disk in. After a step that fails, all are undone: also one whose answer is late, which may be done by now. What
/// another disk at this place has is left alone: its node is in use, and its file is another one of the set.
pub(super) fn attach(monitor: &mut Client, disk: &Disk, file: &OwnedFd) -> Result<(), QmpError> {
    let place = disk.place;
    let set = place.file();
    let file = file.as_fd();
    let fd = Some(monitor.execute(&AddFd { set, file }, LIMIT)?.fd);
    let opened = monitor.execute(&BlockdevAdd(blockdev::image(disk)), LIMIT);
    let plugged = opened.and_then(|_| {
        let plugged = monitor.execute(&DeviceAdd(blockdev::device(disk)), LIMIT);
        if matches!(plugged, Err(QmpError::Late(_))) {
            let _perhaps_there = unplug(monitor, place);
        }
        plugged
    });
    if plugged.is_err() {
        let _perhaps_there = monitor.execute(&BlockdevDel(json!(place.node())), LIMIT);
        let _perhaps_kept = monitor.execute(&RemoveFd { set, fd }, LIMIT);
    }
    plugged.map(drop)
}

/// Pulls a disk out. The guest is not asked: what it has not written yet is lost to it. A step that is refused does not keep
/// the next one from being tried, so a second call finishes what the first one has left half done.
pub(super) fn detach(monitor: &mut Client, place: Place) -> Result<(), QmpError> {
    let unplugged = unplug(monitor, place);
    let closed = monitor.execute(&BlockdevDel(json!(place.node())), LIMIT);
    let set = place.file();
    match (unplugged, closed.map(drop)) {
        // The file is closed. A set that is not there any more was removed before.
        (_, Ok(())) => match monitor.execute(&RemoveFd { set, fd: None }, LIMIT) {
            Ok(_) | Err(QmpError::Refused(..)) => Ok(()),
            Err(error) => Err(error),
        },
        // Nothing is there, but the file may be left of an earlier call.
        (Err(QmpError::Refused(name, why)), Err(QmpError::Refused(_, missing)))
            if missing.contains(NO_NODE) =>
        {
            let removed = monitor.execute(&RemoveFd { set, fd: None }, LIMIT);
            removed.map(drop).map_err(|_| QmpError::Refused(name, why))
        }
        (Err(error), Err(_)) | (Ok(()), Err(error)) => Err(error),
    }
}

fn unplug(monitor: &mut Client, place: Place) -> Result<(), QmpError> {
    let device = place.device();
    monitor.execute(&DeviceDel(json!(device)), LIMIT)?;
    let unplugged = monitor.wait_for(&Event::Unplugged(device), "device_del", LIMIT);
    unplugged.map(drop)
}
