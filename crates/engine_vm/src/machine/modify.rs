//! Changes to a machine that runs: its disks, and who may use its sockets.

use std::fmt::Display;

use hcs_engine::modification::{Action, DiskPlace, HostChange, RESOURCE_PATH, SETTINGS};
use hcs_schema::{
    Failure, HResult,
    coverage::VIRTUAL_MACHINE,
    documents::{Attachment, HvSocketServiceConfig},
};

use crate::{
    disk::{self, Attached, Controllers, Place},
    hv_socket::{self, Service},
    shares::{self, Share},
    storage::StorageLimits,
};

/// What is to be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// A disk is plugged in.
    Attach(Attached),
    /// A disk is pulled out.
    Detach(Place),
    /// A port of sockets gets rules of its own, or loses them.
    Service(u32, Option<Service>),
    /// A directory is shared.
    Share(Share),
    /// The share of this name is taken away.
    Unshare(String),
    /// Disks get these limits.
    Limit(StorageLimits),
    /// The guest gets so many megabytes of memory.
    Resize(u64),
    /// The rules of a service that is no port, which no guest could use.
    NoPort,
}

/// Reads a change of a machine with these SCSI controllers.
///
/// # Errors
/// The resource is not one of a virtual machine, or a value is wrong.
pub(super) fn read(change: &HostChange, controllers: &Controllers) -> Result<Change, Failure> {
    match &change.action {
        Action::AttachDisk { place, attachment } => attach(controllers, place, attachment),
        Action::DetachDisk(place) => detach(controllers, place),
        Action::AddShare(asked) => Share::read(asked).map(Change::Share).map_err(in_settings),
        Action::RemoveShare(asked) => shares::name(asked)
            .map(Change::Unshare)
            .map_err(in_settings),
        Action::LimitStorage(asked) => StorageLimits::read(asked)
            .map(Change::Limit)
            .map_err(in_settings),
        Action::ResizeMemory(megabytes) => Ok(Change::Resize(*megabytes)),
        Action::SetSocketService { service, config } => set_service(service, Some(config)),
        Action::RemoveSocketService { service } => set_service(service, None),
        _ => Err(VIRTUAL_MACHINE.refuse_resource(&change.resource)),
    }
}

fn attach(
    controllers: &Controllers,
    place: &DiskPlace,
    attachment: &Attachment,
) -> Result<Change, Failure> {
    let number = controller(controllers, place)?;
    let attached = disk::attached(number, (&place.controller, &place.slot), attachment);
    let mut attached = attached.map_err(|(pointer, why)| match pointer.ends_with("/Path") {
        true => wrong("/Settings/Path", why),
        false => wrong(RESOURCE_PATH, why),
    })?;
    attached.pointer = "/Settings/Path".to_owned();
    Ok(Change::Attach(attached))
}

fn detach(controllers: &Controllers, place: &DiskPlace) -> Result<Change, Failure> {
    let controller = controller(controllers, place)?;
    let slot = disk::slot(&place.slot).map_err(|why| wrong(RESOURCE_PATH, why))?;
    Ok(Change::Detach(Place { controller, slot }))
}

fn controller(controllers: &Controllers, place: &DiskPlace) -> Result<u8, Failure> {
    let number = controllers.number(&place.controller);
    number.map_err(|why| wrong(RESOURCE_PATH, why))
}

fn set_service(guid: &str, config: Option<&HvSocketServiceConfig>) -> Result<Change, Failure> {
    let port = hv_socket::port(guid).map_err(|why| wrong(RESOURCE_PATH, why))?;
    let service = config.map(Service::read).transpose().map_err(in_settings)?;
    Ok(port.map_or(Change::NoPort, |port| Change::Service(port, service)))
}

fn wrong(pointer: &str, message: String) -> Failure {
    Failure::new(HResult::HCS_E_INVALID_JSON, message.clone()).cause_at(pointer, message)
}

/// A value at a pointer of the settings alone is wrong.
fn in_settings((at, why): (impl Display, String)) -> Failure {
    wrong(&format!("{SETTINGS}{at}"), why)
}

#[cfg(test)]
mod tests {
    use hcs_engine::modification::Modification;
    use serde_json::{Value, json};

    use super::*;

    fn change(request: &Value) -> Result<Change, Failure> {
        let request = hcs_schema::parse(&request.to_string()).unwrap();
        let modification = Modification::read(request, &VIRTUAL_MACHINE)?;
        let machine = json!({"Devices": {"Scsi": {"Primary disk": {}}}}).to_string();
        let machine = hcs_schema::parse(&machine).unwrap();
        let controllers = Controllers::of_machine(&machine).unwrap();
        read(&modification.host.unwrap(), &controllers)
    }

    #[test]
    fn a_disk_is_attached_and_detached_by_its_path() {
        let path = "VirtualMachine/Devices/Scsi/df6d0690-79e5-55b6-a5ec-c1e2f77f580a/Attachments/1";
        let settings = json!({"Type": "VirtualDisk", "Path": "/a.vhdx"});
        let add = json!({"ResourcePath": path, "RequestType": "Add", "Settings": settings});
        let place = Place {
            controller: 0,
            slot: 1,
        };
        match change(&add).unwrap() {
            Change::Attach(attached) => {
                assert_eq!(attached.disk.place, place);
                assert_eq!(attached.pointer, "/Settings/Path");
            }
            other => panic!("{other:?}"),
        }
        for name in [
            path,
            "VirtualMachine/Devices/Scsi/Primary disk/Attachments/1",
        ] {
            let remove = json!({"ResourcePath": name, "RequestType": "Remove"});
            assert_eq!(change(&remove).unwrap(), Change::Detach(place));
        }
    }

    #[test]
    fn what_cannot_be_changed_is_told_by_pointer() {
        let disk = json!({"Path": "/a"});
        for (path, kind, settings, pointer) in [
            (
                "VirtualMachine/Devices/Scsi/9/Attachments/0",
                "Add",
                disk.clone(),
                RESOURCE_PATH,
            ),
            (
                "VirtualMachine/Devices/Scsi/0/Attachments/64",
                "Add",
                disk.clone(),
                RESOURCE_PATH,
            ),
            (
                "VirtualMachine/Devices/Scsi/0/Attachments/64",
                "Remove",
                Value::Null,
                RESOURCE_PATH,
            ),
            (
                "VirtualMachine/Devices/Scsi/0",
                "Add",
                disk.clone(),
                RESOURCE_PATH,
            ),
            (
                "VirtualMachine/Devices/Scsi/0/Attachments/0/Path",
                "Add",
                disk.clone(),
                RESOURCE_PATH,
            ),
            (
                "VirtualMachine/Devices/Scsi/0/Attachments/0",
                "Update",
                disk,
                "/RequestType",
            ),
            (
                "VirtualMachine/Devices/Scsi/0/Attachments/0",
                "Add",
                json!({}),
                "/Settings/Path",
            ),
            (
                "VirtualMachine/Devices/Scsi/0/Attachments/0",
                "Add",
                json!({"Type": "ExtensibleVirtualDisk", "Path": "/a"}),
                "/Settings/Type",
            ),
        ] {
            let request = json!({"ResourcePath": path, "RequestType": kind, "Settings": settings});
            let refused = change(&request).unwrap_err();
            assert_eq!(
                refused.causes[0].pointer.as_deref(),
                Some(pointer),
                "{refused:?}"
            );
        }
    }
}
