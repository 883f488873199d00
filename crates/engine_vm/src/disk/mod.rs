//! Disks of a machine: `Devices/Scsi` of its document.
//!
//! 1. [`Disk`], [`Place`]: what a document asks for, and where the guest sees it.
//! 2. [`Controllers`]: which controller a name of the document means. Pure.
//! 3. `format`: kinds of disk images, and what must not be in their headers. Pure.
//! 4. `open`: opens an image for QEMU, and locks it. 5. `device`: the same for a block device of the host.
//!
//! The kind of an image follows from its name, never from its bytes: a guest can write what it likes to a disk, the
//! header of another kind as well, and with that name a file of the host. What a header names is refused here, QEMU is
//! told to open nothing else, and its root has no files of the host.

mod controllers;
mod device;
pub(crate) mod format;
mod open;

use hcs_schema::documents::{Attachment, AttachmentType, VirtualMachine};
use serde::{Deserialize, Serialize};

pub(crate) use controllers::Controllers;
use format::Format;
pub(crate) use open::{lock, open};

/// JSON pointer of all controllers.
const SCSI: &str = "/VirtualMachine/Devices/Scsi";

/// SCSI controllers of a machine.
const CONTROLLERS: u8 = 4;
/// Disks of a controller.
const SLOTS: u8 = 64;

/// Where a guest sees a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Place {
    /// The controller, from 0.
    pub(crate) controller: u8,
    /// The logical unit on it, from 0.
    pub(crate) slot: u8,
}

/// A disk as QEMU has to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Disk {
    /// Where the guest sees it.
    pub(crate) place: Place,
    /// The kind of image.
    pub(crate) format: Format,
    /// Whether it is an optical disk.
    pub(crate) optical: bool,
    /// Whether it can only be read.
    pub(crate) read_only: bool,
    /// Whether flushes of the guest are dropped.
    pub(crate) ignores_flushes: bool,
    /// Whether the machine's limits on input and output are its own, too.
    #[serde(default)]
    pub(crate) limited: bool,
    /// Whether it is a block device of the host, and no image in a file.
    #[serde(default)]
    pub(crate) device: bool,
}

/// A disk with its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attached {
    /// The disk.
    pub(crate) disk: Disk,
    /// The file's path.
    pub(crate) path: String,
    /// JSON pointer of the property that names it.
    pub(crate) pointer: String,
}

/// A value that is wrong: its JSON pointer, and the reason.
pub(crate) type Wrong = (String, String);

impl Place {
    /// The name of its image in QEMU.
    pub(crate) fn node(self) -> String {
        format!("disk{}-{}", self.controller, self.slot)
    }

    /// The name of its image's file in QEMU.
    pub(crate) fn file_node(self) -> String {
        format!("{}-file", self.node())
    }

    /// The name of what limits the image in QEMU.
    pub(crate) fn limit_node(self) -> String {
        format!("{}-limit", self.node())
    }

    /// The name of its device in QEMU.
    pub(crate) fn device(self) -> String {
        format!("scsi{}-{}", self.controller, self.slot)
    }

    /// The number of its file among those that QEMU is given.
    pub(crate) fn file(self) -> u32 {
        1 + u32::from(self.controller) * u32::from(SLOTS) + u32::from(self.slot)
    }
}

/// The number of the place that is called `name`.
///
/// # Errors
/// A sentence: there is none.
pub(crate) fn slot(name: &str) -> Result<u8, String> {
    let number = name.parse().ok().filter(|slot| *slot < SLOTS);
    number.ok_or_else(|| {
        format!(
            "{name:?} is no place for a disk; \"0\" to \"{}\" are",
            SLOTS - 1
        )
    })
}

/// The disk that `attachment` of the controller `controller` describes, which its document calls `names`.
///
/// # Errors
/// A value is wrong.
pub(crate) fn attached(
    controller: u8,
    names: (&str, &str),
    attachment: &Attachment,
) -> Result<Attached, Wrong> {
    let pointer = format!("{SCSI}/{}/Attachments/{}", names.0, names.1);
    let slot = names.1.parse().ok().filter(|slot| *slot < SLOTS);
    let slot = slot.ok_or_else(|| {
        let message = format!(
            "{:?} is no place for a disk; \"0\" to \"{}\" are",
            names.1,
            SLOTS - 1
        );
        (pointer.clone(), message)
    })?;
    let path_pointer = format!("{pointer}/Path");
    let path = attachment.path.clone().filter(|path| !path.is_empty());
    let path = path.ok_or_else(|| {
        let message = "no file is named: give the path of a disk image of this host";
        (path_pointer.clone(), message.to_owned())
    })?;
    let optical = attachment.r#type == Some(AttachmentType::Iso);
    let device = attachment.r#type == Some(AttachmentType::PassThru);
    let format = match optical || device {
        true => Format::Raw,
        false => Format::of_name(&path).map_err(|why| (path_pointer.clone(), why))?,
    };
    Ok(Attached {
        disk: Disk {
            place: Place { controller, slot },
            format,
            optical,
            read_only: optical || attachment.read_only == Some(true),
            ignores_flushes: attachment.ignore_flushes == Some(true),
            limited: false,
            device,
        },
        path,
        pointer: path_pointer,
    })
}

/// The controllers and disks that `machine` has.
///
/// # Errors
/// A value is wrong.
pub(crate) fn of_machine(machine: &VirtualMachine) -> Result<(Vec<u8>, Vec<Attached>), Wrong> {
    let devices = machine.devices.as_ref();
    let asked = devices.and_then(|devices| devices.scsi.as_ref());
    let controllers = Controllers::of_machine(machine)?;
    let mut disks = Vec::new();
    for (name, described) in asked.into_iter().flatten() {
        let number = controllers
            .number(name)
            .map_err(|why| (format!("{SCSI}/{name}"), why))?;
        for (slot, attachment) in described.attachments.iter().flatten() {
            let mut disk = attached(number, (name, slot), attachment)?;
            disk.disk.limited = machine.storage_qos.is_some();
            let taken = disks
                .iter()
                .any(|other: &Attached| other.disk.place == disk.disk.place);
            if taken {
                let message = "another disk of the controller is at the same place";
                return Err((
                    format!("{SCSI}/{name}/Attachments/{slot}"),
                    message.to_owned(),
                ));
            }
            disks.push(disk);
        }
    }
    // The guest finds them in this order.
    disks.sort_by_key(|disk| disk.disk.place);
    Ok((controllers.numbers(), disks))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn disks(scsi: &Value) -> Result<(Vec<u8>, Vec<Attached>), Wrong> {
        let machine = json!({"VirtualMachine": {"Devices": {"Scsi": scsi}}});
        let document: hcs_schema::documents::ComputeSystem =
            hcs_schema::parse(&machine.to_string()).unwrap();
        of_machine(&document.virtual_machine.unwrap())
    }

    #[test]
    fn disks_are_at_their_places_in_order() {
        let (controllers, disks) = disks(&json!({
            "0110F83B-de10-5172-a266-78bca56bf50a": {},
            "0": {"Attachments": {
                "10": {"Type": "Iso", "Path": "/c.vhdx"},
                "2": {"Type": "VirtualDisk", "Path": "/b.vhd", "ReadOnly": true},
                "0": {"Path": "/a", "IgnoreFlushes": true},
            }},
        }))
        .unwrap();
        assert_eq!(controllers, [0, 1]);
        let of = |slot, format, optical, read_only, ignores_flushes| Disk {
            place: Place {
                controller: 0,
                slot,
            },
            format,
            optical,
            read_only,
            ignores_flushes,
            limited: false,
            device: false,
        };
        let found: Vec<Disk> = disks.iter().map(|attached| attached.disk).collect();
        assert_eq!(
            found,
            [
                of(0, Format::Raw, false, false, true),
                of(2, Format::Vhd, false, true, false),
                of(10, Format::Raw, true, true, false),
            ]
        );
        assert_eq!(
            disks[1].pointer,
            "/VirtualMachine/Devices/Scsi/0/Attachments/2/Path"
        );
    }

    #[test]
    fn what_is_wrong_is_told_by_pointer() {
        let pointer = |scsi: Value| disks(&scsi).unwrap_err().0;
        let one = |name: &str, disk: Value| json!({"0": {"Attachments": {name: disk}}});
        for name in ["4", "-1", ""] {
            assert_eq!(pointer(json!({name: {}})), format!("{SCSI}/{name}"));
        }
        for name in ["64", "x", "-1", ""] {
            let at = format!("{SCSI}/0/Attachments/{name}");
            assert_eq!(pointer(one(name, json!({"Path": "/a"}))), at);
        }
        let path = format!("{SCSI}/0/Attachments/0/Path");
        for disk in [json!({}), json!({"Path": ""}), json!({"Path": "/a.vmdk"})] {
            assert_eq!(pointer(one("0", disk)), path);
        }
        let same = json!({"0": {"Attachments": {"0": {"Path": "/a"}, "00": {"Path": "/b"}}}});
        assert_eq!(pointer(same), format!("{SCSI}/0/Attachments/00"));
        let same = json!({"0": {}, "00": {}});
        assert_eq!(pointer(same), format!("{SCSI}/00"));
    }

    #[test]
    fn a_device_of_the_host_has_the_bytes_of_a_disk_whatever_its_name() {
        let device = json!({"Type": "PassThru", "Path": "/dev/mapper/a.vhdx", "ReadOnly": true});
        let (_, disks) = disks(&json!({"0": {"Attachments": {"0": device}}})).unwrap();
        let disk = disks[0].disk;
        assert!(disk.device && disk.read_only && !disk.optical);
        assert_eq!(disk.format, Format::Raw);
    }

    #[test]
    fn files_have_numbers_of_their_own() {
        let mut seen = std::collections::BTreeSet::new();
        for controller in 0..CONTROLLERS {
            for slot in 0..SLOTS {
                assert!(seen.insert(Place { controller, slot }.file()));
            }
        }
        assert_eq!(seen.first(), Some(&1));
    }
}
