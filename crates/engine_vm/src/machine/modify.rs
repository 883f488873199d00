//! Changes to a machine that runs: its disks, and who may use its sockets.

use hcs_schema::{
    Document, Failure, HResult,
    coverage::VIRTUAL_MACHINE,
    documents::{
        Attachment, HvSocketServiceConfig, ModifyRequestType, ModifySettingRequest, Plan9Share,
    },
};
use serde_json::Value;

use crate::{
    disk::{self, Attached, Place},
    hv_socket::{self, Service},
    shares::{self, Share},
};

/// JSON pointers of a request.
const RESOURCE: &str = "/ResourcePath";
const SETTINGS: &str = "/Settings";

/// How the path of a disk begins.
const SCSI: &str = "VirtualMachine/Devices/Scsi/";
/// The path of shares.
const SHARES: &str = "VirtualMachine/Devices/Plan9/Shares";
/// How the path of a service begins.
const SERVICES: &str = "VirtualMachine/Devices/HvSocket/HvSocketConfig/ServiceTable/";

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
    /// The rules of a service that is no port, which no guest could use.
    NoPort,
}

/// Reads a request.
///
/// # Errors
/// The resource or the kind of change is not supported, or a value is wrong.
pub(super) fn read(request: &ModifySettingRequest) -> Result<Change, Failure> {
    let resource = request.resource_path.as_deref().unwrap_or_default();
    if let Some(guid) = resource.strip_prefix(SERVICES) {
        return service(guid, request);
    }
    if resource == SHARES {
        return share(request);
    }
    let Some((controller, slot)) = place(resource) else {
        return Err(VIRTUAL_MACHINE.refuse_resource(resource));
    };
    let number = disk::controller(controller).map_err(|(_, why)| wrong(RESOURCE, why))?;
    let kind = request.request_type.unwrap_or(ModifyRequestType::Update);
    match kind {
        ModifyRequestType::Add => {
            let attachment: Attachment = settings(request)?;
            let attached = disk::attached(number, (controller, slot), &attachment);
            let mut attached =
                attached.map_err(|(pointer, why)| match pointer.ends_with("/Path") {
                    true => wrong("/Settings/Path", why),
                    false => wrong(RESOURCE, why),
                })?;
            attached.pointer = "/Settings/Path".to_owned();
            Ok(Change::Attach(attached))
        }
        ModifyRequestType::Remove => {
            let slot = disk::slot(slot).map_err(|why| wrong(RESOURCE, why))?;
            Ok(Change::Detach(Place {
                controller: number,
                slot,
            }))
        }
        ModifyRequestType::Update => Err(no_update(resource)),
    }
}

fn no_update(resource: &str) -> Failure {
    let message = format!("\"Update\" of {resource} is not supported, only \"Add\" and \"Remove\"");
    let failure = Failure::new(HResult::NOT_SUPPORTED, message.clone());
    failure.cause_at("/RequestType", message)
}

fn share(request: &ModifySettingRequest) -> Result<Change, Failure> {
    let kind = request.request_type.unwrap_or(ModifyRequestType::Update);
    if kind == ModifyRequestType::Update {
        return Err(no_update(SHARES));
    }
    let asked: Plan9Share = settings(request)?;
    let read = match kind {
        ModifyRequestType::Remove => shares::name(&asked).map(Change::Unshare),
        _ => Share::read(&asked).map(Change::Share),
    };
    read.map_err(|(at, why)| wrong(&format!("{SETTINGS}{at}"), why))
}

fn service(guid: &str, request: &ModifySettingRequest) -> Result<Change, Failure> {
    let port = hv_socket::port(guid).map_err(|why| wrong(RESOURCE, why))?;
    let service = match request.request_type.unwrap_or(ModifyRequestType::Update) {
        ModifyRequestType::Remove => None,
        ModifyRequestType::Add | ModifyRequestType::Update => {
            let config: HvSocketServiceConfig = settings(request)?;
            let read = Service::read(&config);
            Some(read.map_err(|(at, why)| wrong(&format!("{SETTINGS}{at}"), why))?)
        }
    };
    Ok(port.map_or(Change::NoPort, |port| Change::Service(port, service)))
}

/// The settings of a request.
fn settings<T: Document>(request: &ModifySettingRequest) -> Result<T, Failure> {
    let settings = request.settings.as_ref().unwrap_or(&Value::Null);
    hcs_schema::parse(&settings.to_string())
        .and_then(|document: T| VIRTUAL_MACHINE.check(&document).map(|()| document))
        .map_err(in_settings)
}

/// The names of controller and place in the path of a disk.
fn place(resource: &str) -> Option<(&str, &str)> {
    let (controller, rest) = resource.strip_prefix(SCSI)?.split_once('/')?;
    let slot = rest.strip_prefix("Attachments/")?;
    (!slot.contains('/')).then_some((controller, slot))
}

fn wrong(pointer: &str, message: String) -> Failure {
    Failure::new(HResult::HCS_E_INVALID_JSON, message.clone()).cause_at(pointer, message)
}

/// The pointers of a failure are those of the settings alone.
fn in_settings(mut failure: Failure) -> Failure {
    for cause in &mut failure.causes {
        if let Some(pointer) = &mut cause.pointer {
            *pointer = format!("{SETTINGS}{pointer}");
        }
    }
    failure
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn change(request: &Value) -> Result<Change, Failure> {
        read(&hcs_schema::parse(&request.to_string()).unwrap())
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
        let remove = json!({"ResourcePath": path, "RequestType": "Remove"});
        assert_eq!(change(&remove).unwrap(), Change::Detach(place));
    }

    #[test]
    fn what_cannot_be_changed_is_told_by_pointer() {
        let disk = json!({"Path": "/a"});
        for (path, kind, settings, pointer) in [
            (
                "VirtualMachine/Devices/Scsi/9/Attachments/0",
                "Add",
                disk.clone(),
                RESOURCE,
            ),
            (
                "VirtualMachine/Devices/Scsi/0/Attachments/64",
                "Add",
                disk.clone(),
                RESOURCE,
            ),
            (
                "VirtualMachine/Devices/Scsi/0/Attachments/64",
                "Remove",
                Value::Null,
                RESOURCE,
            ),
            (
                "VirtualMachine/Devices/Scsi/0",
                "Add",
                disk.clone(),
                RESOURCE,
            ),
            (
                "VirtualMachine/Devices/Scsi/0/Attachments/0/Path",
                "Add",
                disk.clone(),
                RESOURCE,
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
                json!({"Type": "PassThru", "Path": "/dev/sda"}),
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
