//! `-add-fd`, `-blockdev`, `-device scsi-hd` and `scsi-cd`: a disk, whose file QEMU inherits.
//!
//! The driver of the image is named, so QEMU does not guess. A backing file is denied to those images that could name
//! one. The file is locked by who opened it.

use std::os::fd::RawFd;

use serde_json::{Value, json};

use super::Switch;
use crate::{
    disk::{Disk, format::Format},
    storage::GROUP,
};

pub(super) struct ScsiDisk {
    pub(super) disk: Disk,
    pub(super) descriptor: RawFd,
    /// When firmware looks at it, from 0.
    pub(super) boot_index: Option<usize>,
}

impl Switch for ScsiDisk {
    fn words(&self) -> Vec<String> {
        let file = self.disk.place.file();
        let mut device = device(&self.disk);
        if let Some(index) = self.boot_index {
            device["bootindex"] = index.into();
        }
        let mut words = vec![
            "-add-fd".to_owned(),
            format!("fd={},set={file}", self.descriptor),
            "-blockdev".to_owned(),
            image(&self.disk).to_string(),
        ];
        if let Some(limit) = limit(&self.disk) {
            words.extend(["-blockdev".to_owned(), limit.to_string()]);
        }
        words.extend(["-device".to_owned(), device.to_string()]);
        words
    }
}

/// The image, as `-blockdev` and `blockdev-add` take it.
pub(crate) fn image(disk: &Disk) -> Value {
    let place = disk.place;
    let cache = json!({ "direct": false, "no-flush": disk.ignores_flushes });
    let mut image = json!({
        "driver": disk.format.driver(),
        "node-name": place.node(),
        "read-only": disk.read_only,
        "cache": cache,
        "discard": "unmap",
        "file": {
            "driver": if disk.device { "host_device" } else { "file" },
            "node-name": place.file_node(),
            "filename": format!("/dev/fdset/{}", place.file()),
            "locking": "off",
            "read-only": disk.read_only,
            "cache": cache,
            "discard": "unmap",
        },
    });
    if disk.format == Format::Qcow2 {
        image["backing"] = Value::Null;
    }
    image
}

/// What limits the image, where something does, as `-blockdev` and `blockdev-add` take it.
pub(crate) fn limit(disk: &Disk) -> Option<Value> {
    let place = disk.place;
    disk.limited.then(|| {
        json!({
            "driver": "throttle",
            "node-name": place.limit_node(),
            "throttle-group": GROUP,
            "read-only": disk.read_only,
            "discard": "unmap",
            "file": place.node(),
        })
    })
}

/// The device, as `-device` and `device_add` take it.
pub(crate) fn device(disk: &Disk) -> Value {
    let place = disk.place;
    let driver = if disk.optical { "scsi-cd" } else { "scsi-hd" };
    json!({
        "driver": driver,
        "id": place.device(),
        "bus": format!("scsi{}.0", place.controller),
        "channel": 0,
        "scsi-id": 0,
        "lun": place.slot,
        "drive": if disk.limited { place.limit_node() } else { place.node() },
        // A guest can tell by it which disk it is.
        "serial": place.node(),
    })
}
