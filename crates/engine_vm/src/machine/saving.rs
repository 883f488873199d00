//! Why a machine cannot be saved: what of it QEMU does not move, by JSON pointer.

use hcs_schema::{
    Failure, HResult,
    documents::{ComputeSystem, VirtualMachine},
};

use crate::disk::{self, format::Format};

/// What of a machine is in the way, with the reason.
type Obstacle = (String, &'static str);

const VSOCK: &str = "it takes a device for vsock, which QEMU does not move (\"State blocked by non-migratable device\", \
                     vhost-user-vsock)";
const IMAGE: &str = "QEMU does not move a machine with such an image (\"The vpc format used by node ... does not support live \
                     migration\", and vhdx alike): a raw or qcow2 image would not be in the way";

/// The refusal to save the machine of `document`.
pub(super) fn refusal(document: &ComputeSystem) -> Failure {
    let machine = document.virtual_machine.as_ref();
    let found = machine.map(obstacles).unwrap_or_default();
    let message = match found.is_empty() {
        true => {
            "the virtual machine cannot be saved: QEMU could move all devices of its document, but this engine does not do it yet"
        }
        false => "the virtual machine cannot be saved: QEMU does not move all of its devices",
    };
    let failure = Failure::new(HResult::E_NOTIMPL, message);
    found.into_iter().fold(failure, |failure, (pointer, why)| {
        failure.cause_at(pointer, why)
    })
}

fn obstacles(machine: &VirtualMachine) -> Vec<Obstacle> {
    let devices = machine.devices.as_ref();
    let dialled = [
        ("GuestConnection", machine.guest_connection.is_some()),
        (
            "Devices/HvSocket",
            devices.is_some_and(|devices| devices.hv_socket.is_some()),
        ),
        (
            "Devices/Plan9",
            devices.is_some_and(|devices| devices.plan9.is_some()),
        ),
    ];
    let dialled = dialled.into_iter().filter(|(_, is_there)| *is_there);
    let mut found: Vec<Obstacle> = dialled
        .map(|(name, _)| (format!("/VirtualMachine/{name}"), VSOCK))
        .collect();
    let disks = disk::of_machine(machine).map(|(_, disks)| disks);
    let images = disks.unwrap_or_default().into_iter();
    let images = images.filter(|disk| matches!(disk.disk.format, Format::Vhd | Format::Vhdx));
    found.extend(images.map(|disk| (disk.pointer, IMAGE)));
    found
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pointers(machine: &Value) -> Vec<String> {
        let document = json!({ "VirtualMachine": machine }).to_string();
        let refused = refusal(&hcs_schema::parse(&document).unwrap());
        assert_eq!(refused.hresult, HResult::E_NOTIMPL);
        let causes = refused.causes.into_iter();
        causes.filter_map(|cause| cause.pointer).collect()
    }

    #[test]
    fn what_is_in_the_way_is_told_by_pointer() {
        let disk = |path: &str| json!({ "Type": "VirtualDisk", "Path": path });
        let disks = json!({ "0": disk("/a.vhdx"), "1": disk("/b.qcow2"), "2": disk("/c.vhd"), "3": disk("/d") });
        let scsi = json!({ "0": { "Attachments": disks } });
        assert_eq!(
            pointers(
                &json!({ "GuestConnection": {}, "Devices": { "Scsi": scsi, "HvSocket": {} } })
            ),
            [
                "/VirtualMachine/GuestConnection",
                "/VirtualMachine/Devices/HvSocket",
                "/VirtualMachine/Devices/Scsi/0/Attachments/0/Path",
                "/VirtualMachine/Devices/Scsi/0/Attachments/2/Path",
            ]
        );
        assert!(pointers(&json!({ "Devices": { "ComPorts": {} } })).is_empty());
    }
}
