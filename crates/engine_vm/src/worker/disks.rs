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

/// Plugs a disk in. What was done before a step that fails is undone.
pub(super) fn attach(monitor: &mut Client, disk: &Disk, file: &OwnedFd) -> Result<(), QmpError> {
    let set = disk.place.file();
    let file = file.as_fd();
    let fd = Some(monitor.execute(&AddFd { set, file }, LIMIT)?.fd);
    let opened = monitor.execute(&BlockdevAdd(blockdev::image(disk)), LIMIT);
    let plugged = opened.and_then(|_| {
        let plugged = monitor.execute(&DeviceAdd(blockdev::device(disk)), LIMIT);
        if plugged.is_err() {
            let _kept = monitor.execute(&BlockdevDel(json!(disk.place.node())), LIMIT);
        }
        plugged
    });
    if plugged.is_err() {
        let _kept = monitor.execute(&RemoveFd { set, fd }, LIMIT);
    }
    plugged.map(drop)
}

/// Pulls a disk out. The guest is not asked: what it has not written yet is lost to it.
pub(super) fn detach(monitor: &mut Client, place: Place) -> Result<(), QmpError> {
    let device = place.device();
    monitor.execute(&DeviceDel(json!(device)), LIMIT)?;
    monitor.wait_for(&Event::Unplugged(device), "device_del", LIMIT)?;
    monitor.execute(&BlockdevDel(json!(place.node())), LIMIT)?;
    let set = place.file();
    monitor
        .execute(&RemoveFd { set, fd: None }, LIMIT)
        .map(drop)
}
