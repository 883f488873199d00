//! A change to a running system, read once from the document that asks for it: what the host is to do, which an engine
//! does ([`HostChange`]), and what the guest is to do, which its agent does ([`GuestChange`]).
//!
//! The engine's table says which resources its machines have, and which requests these allow. So a request that no
//! engine could do is refused here, by pointer, and an engine only matches on an [`Action`].

use hcs_schema::{
    Document, Failure, HResult,
    coverage::Table,
    documents::{
        Attachment, ContainerProcessor, HvSocketServiceConfig, MappedDirectory, MappedPipe,
        ModifyRequestType, ModifySettingRequest, NetworkAdapter, Plan9Share, StorageQoS,
    },
};
use serde_json::Value;

/// The JSON pointer of the path in a request.
pub const RESOURCE_PATH: &str = "/ResourcePath";
/// The JSON pointer of the value in a request.
pub const SETTINGS: &str = "/Settings";

/// A change to a running system. At least one of the two is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Modification {
    /// The host's part, which comes first: the guest is to use what it then has.
    pub host: Option<HostChange>,
    /// The guest's part.
    pub guest: Option<GuestChange>,
}

/// A change of what the host provides.
#[derive(Clone, Debug, PartialEq)]
pub struct HostChange {
    /// The `ResourcePath` as it was written.
    pub resource: String,
    /// What is done to it.
    pub action: Action,
}

/// What an engine is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Limits the memory of a container to so many megabytes.
    LimitContainerMemory(u64),
    /// Limits the processor time of a container.
    LimitContainerProcessor(ContainerProcessor),
    /// Maps a directory of the host into a container.
    MapDirectory(MappedDirectory),
    /// Takes a mapped directory away.
    UnmapDirectory(MappedDirectory),
    /// Maps a pipe of the host into a container.
    MapPipe(MappedPipe),
    /// Takes a mapped pipe away.
    UnmapPipe(MappedPipe),
    /// Plugs a disk in.
    AttachDisk {
        /// The place of the disk.
        place: DiskPlace,
        /// The disk.
        attachment: Attachment,
    },
    /// Pulls the disk at this place out.
    DetachDisk(DiskPlace),
    /// Plugs a network adapter in. The service does it, and has the engine plug a card.
    AddNetworkAdapter {
        /// Its name in the document of the machine.
        name: String,
        /// The adapter.
        adapter: NetworkAdapter,
    },
    /// Pulls a network adapter out.
    RemoveNetworkAdapter {
        /// Its name in the document of the machine.
        name: String,
    },
    /// Puts an endpoint that a client has made into a container, by its id. The service does it.
    AttachEndpoint(String),
    /// Makes an endpoint for a container, which ends with it, by its document. The service does it.
    MakeEndpoint(Value),
    /// Takes an endpoint out of a container, by its id. The service does it.
    DetachEndpoint(String),
    /// Shares a directory of the host with the guest.
    AddShare(Plan9Share),
    /// Ends such a share.
    RemoveShare(Plan9Share),
    /// Gives the guest so many megabytes of memory.
    ResizeMemory(u64),
    /// Limits the input and output of all disks.
    LimitStorage(StorageQoS),
    /// Gives a service of hypervisor sockets rules of its own.
    SetSocketService {
        /// The GUID of the service, as it was written.
        service: String,
        /// Its rules.
        config: HvSocketServiceConfig,
    },
    /// Takes the rules of such a service away.
    RemoveSocketService {
        /// The GUID of the service, as it was written.
        service: String,
    },
}

/// The names of a disk's place in a resource path, as they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskPlace {
    /// The controller.
    pub controller: String,
    /// The slot of the controller.
    pub slot: String,
}

/// A change for the guest, in the words of its agent: the agent is the guest's own program, and its resources are in no
/// table of the host. So the request goes to it as the client wrote it.
#[derive(Clone, Debug, PartialEq)]
pub struct GuestChange(Value);

impl GuestChange {
    /// A request for the agent.
    #[must_use]
    pub const fn new(request: Value) -> Self {
        Self(request)
    }

    /// The request, for a message to the agent.
    #[must_use]
    pub fn into_request(self) -> Value {
        self.0
    }
}

impl Modification {
    /// Reads a request, which is valid against the schema, for a system of the engine with this table.
    ///
    /// # Errors
    /// The resource or the kind of change is not supported, or the settings are not valid, by JSON pointer.
    pub fn read(request: ModifySettingRequest, table: &Table) -> Result<Self, Failure> {
        let guest = request.guest_request.map(GuestChange);
        // Without both of them, the refusal says which resources there are.
        let has_host_part = request.resource_path.is_some() || guest.is_none();
        let host = has_host_part.then(|| {
            let kind = request.request_type.unwrap_or(ModifyRequestType::Update);
            let settings = request.settings.unwrap_or_default();
            let resource = request.resource_path.unwrap_or_default();
            let action = action(&resource, kind, &settings, table)?;
            Ok(HostChange { resource, action })
        });
        let host = host.transpose()?;
        Ok(Self { host, guest })
    }
}

fn action(
    path: &str,
    kind: ModifyRequestType,
    settings: &Value,
    table: &Table,
) -> Result<Action, Failure> {
    use ModifyRequestType::{Add, Remove, Update};
    let (resource, names) = table.resource(path, kind)?;
    let name = |number: usize| (*names.get(number).unwrap_or(&"")).to_owned();
    let (controller, slot) = (name(0), name(1));
    let place = || DiskPlace { controller, slot };
    Ok(match (resource.path, kind) {
        ("Container/Memory/SizeInMB", Update) => Action::LimitContainerMemory(size(settings)?),
        ("Container/Processor", Update) => {
            Action::LimitContainerProcessor(document(settings, table)?)
        }
        ("Container/MappedDirectories", Add) => Action::MapDirectory(document(settings, table)?),
        ("Container/MappedDirectories", Remove) => {
            Action::UnmapDirectory(document(settings, table)?)
        }
        ("Container/MappedPipes", Add) => Action::MapPipe(document(settings, table)?),
        ("Container/MappedPipes", Remove) => Action::UnmapPipe(document(settings, table)?),
        ("Container/Networking/NetworkAdapters", Add) => Action::AttachEndpoint(text(settings)?),
        ("Container/Networking/NetworkAdapters", Remove) => Action::DetachEndpoint(text(settings)?),
        ("Container/Networking/Endpoints", Add) => Action::MakeEndpoint(settings.clone()),
        ("VirtualMachine/Devices/Scsi/*/Attachments/*", Add) => Action::AttachDisk {
            place: place(),
            attachment: document(settings, table)?,
        },
        ("VirtualMachine/Devices/Scsi/*/Attachments/*", Remove) => Action::DetachDisk(place()),
        ("VirtualMachine/Devices/NetworkAdapters/*", Add) => Action::AddNetworkAdapter {
            name: name(0),
            adapter: document(settings, table)?,
        },
        ("VirtualMachine/Devices/NetworkAdapters/*", Remove) => {
            Action::RemoveNetworkAdapter { name: name(0) }
        }
        ("VirtualMachine/Devices/Plan9/Shares", Add) => {
            Action::AddShare(document(settings, table)?)
        }
        ("VirtualMachine/Devices/Plan9/Shares", Remove) => {
            Action::RemoveShare(document(settings, table)?)
        }
        ("VirtualMachine/ComputeTopology/Memory/SizeInMB", Update) => {
            Action::ResizeMemory(size(settings)?)
        }
        ("VirtualMachine/StorageQoS", Update) => Action::LimitStorage(document(settings, table)?),
        ("VirtualMachine/Devices/HvSocket/HvSocketConfig/ServiceTable/*", Remove) => {
            Action::RemoveSocketService { service: name(0) }
        }
        ("VirtualMachine/Devices/HvSocket/HvSocketConfig/ServiceTable/*", Add | Update) => {
            Action::SetSocketService {
                service: name(0),
                config: document(settings, table)?,
            }
        }
        _ => return Err(table.refuse_resource(path)),
    })
}

/// A number of megabytes.
fn size(settings: &Value) -> Result<u64, Failure> {
    settings.as_u64().ok_or_else(|| {
        let message = format!("{settings} is not a size in megabytes");
        Failure::new(HResult::HCS_E_INVALID_JSON, message.clone()).cause_at(SETTINGS, message)
    })
}

/// The id of an endpoint.
fn text(settings: &Value) -> Result<String, Failure> {
    settings.as_str().map(str::to_owned).ok_or_else(|| {
        let message = "the id of an endpoint is expected, as a string";
        Failure::new(HResult::HCS_E_INVALID_JSON, message).cause_at(SETTINGS, message)
    })
}

/// The settings as a document.
fn document<T: Document>(settings: &Value, table: &Table) -> Result<T, Failure> {
    hcs_schema::parse(&settings.to_string())
        .and_then(|document: T| table.check(&document).map(|()| document))
        .map_err(in_settings)
}

/// The pointers of a failure are those of the settings alone; in the request these stand elsewhere.
#[must_use]
pub fn in_settings(mut failure: Failure) -> Failure {
    let pointers = failure.causes.iter_mut().filter_map(|c| c.pointer.as_mut());
    for pointer in pointers {
        *pointer = format!("{SETTINGS}{pointer}");
    }
    failure
}

#[cfg(test)]
mod tests {
    use hcs_schema::coverage::{CONTAINER, Coverage, VIRTUAL_MACHINE};
    use serde_json::json;

    use super::*;

    fn read(request: &Value, table: &Table) -> Result<Modification, Failure> {
        Modification::read(hcs_schema::parse(&request.to_string()).unwrap(), table)
    }

    #[test]
    fn each_supported_resource_and_request_is_an_action() {
        for table in [&CONTAINER, &VIRTUAL_MACHINE] {
            let rows = table.resources.iter();
            for row in rows.filter(|row| row.coverage == Coverage::Supported) {
                let settings = match row.settings {
                    "uint64" => json!(7),
                    "string" => json!("id"),
                    "Attachment" => json!({"Type": "VirtualDisk", "Path": "/a"}),
                    "MappedDirectory" => json!({"HostPath": "/a", "ContainerPath": "/b"}),
                    "MappedPipe" => json!({"HostPath": "/a", "ContainerPipeName": "b"}),
                    "Plan9Share" => json!({"Name": "a", "Path": "/a", "Port": 1}),
                    _ => json!({}),
                };
                for kind in row.requests {
                    let path = row.path.replace('*', "0");
                    let request =
                        json!({"ResourcePath": path, "RequestType": kind, "Settings": settings});
                    let found = read(&request, table).unwrap();
                    assert_eq!(found.host.unwrap().resource, path);
                }
            }
        }
    }

    #[test]
    fn the_host_and_the_guest_have_a_part_each() {
        let guest = json!({"ResourceType": "Anything", "Settings": [1]});
        let found = read(&json!({"GuestRequest": guest}), &CONTAINER).unwrap();
        assert_eq!(found.host, None);
        assert_eq!(found.guest.unwrap().into_request(), guest);
        let both = json!({"ResourcePath": "Container/Memory/SizeInMB", "Settings": 7, "GuestRequest": guest});
        let found = read(&both, &CONTAINER).unwrap();
        let action = found.host.unwrap().action;
        assert_eq!(action, Action::LimitContainerMemory(7));
        assert!(found.guest.is_some());
    }

    #[test]
    fn what_no_machine_of_the_engine_could_do_is_refused_by_pointer() {
        let disk = "VirtualMachine/Devices/Scsi/0/Attachments/1";
        for (request, pointer) in [
            (
                json!({"ResourcePath": disk, "RequestType": "Add"}),
                RESOURCE_PATH,
            ),
            (
                json!({"ResourcePath": "Container/Processor", "RequestType": "Add"}),
                "/RequestType",
            ),
            (
                json!({"ResourcePath": "Container/Processor", "Settings": {"Maximum": "x"}}),
                "/Settings/Maximum",
            ),
            (
                json!({"ResourcePath": "Container/Memory/SizeInMB", "Settings": "7"}),
                SETTINGS,
            ),
        ] {
            let refused = read(&request, &CONTAINER).unwrap_err();
            assert_eq!(
                refused.causes[0].pointer.as_deref(),
                Some(pointer),
                "{refused}"
            );
        }
    }

    #[test]
    fn a_disk_is_named_by_its_path() {
        let path = "VirtualMachine/Devices/Scsi/df6d0690/Attachments/1";
        let remove = json!({"ResourcePath": path, "RequestType": "Remove"});
        let found = read(&remove, &VIRTUAL_MACHINE).unwrap().host.unwrap();
        let place = DiskPlace {
            controller: "df6d0690".to_owned(),
            slot: "1".to_owned(),
        };
        assert_eq!(found.action, Action::DetachDisk(place));
    }
}
