//! [`Properties`].

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    documents::{
        ConsoleImage, GuestConnectionInfo, IntegrationComponentStatus, MemoryInformationForVm,
        NotificationType, OsType, ProcessDetails, ProcessStatus, PropertyResponse,
        SharedMemoryRegionInfo, State, Statistics, SystemType,
    },
    shape::format::Guid,
};

document! {
    /// The properties of a compute system. Written by `HcsGetComputeSystemProperties`.
    Properties {
        /// Its id.
        id: String = "Id", 2.1;
        /// Its kind.
        system_type: SystemType = "SystemType", 2.1;
        /// The operating system its processes run on.
        runtime_os_type: OsType = "RuntimeOsType", 2.1;
        /// Its name.
        name: String = "Name", 2.1;
        /// The owner its document named.
        owner: String = "Owner", 2.1;
        /// GUID that the service gave it.
        runtime_id: String as Guid = "RuntimeId", 2.1;
        /// The template it was cloned from.
        runtime_template_id: String = "RuntimeTemplateId", 2.1;
        /// Its state.
        state: State = "State", 2.1;
        /// Whether it has stopped.
        stopped: bool = "Stopped", 2.1;
        /// How it ended.
        exit_type: NotificationType = "ExitType", 2.1;
        /// Memory of a virtual machine.
        memory: MemoryInformationForVm = "Memory", 2.1;
        /// Its use of resources.
        statistics: Statistics = "Statistics", 2.1;
        /// Its processes.
        process_list: Vec<ProcessDetails> = "ProcessList", 2.1;
        /// Whether it ends with the last handle.
        terminate_on_last_handle_closed: bool = "TerminateOnLastHandleClosed", 2.1;
        /// The system it runs in.
        hosting_system_id: String = "HostingSystemId", 2.1;
        /// Memory shared with the host.
        shared_memory_region_info: Vec<SharedMemoryRegionInfo> = "SharedMemoryRegionInfo", 2.1;
        /// The abilities of its guest agent.
        guest_connection_info: GuestConnectionInfo = "GuestConnectionInfo", 2.1;
        /// Answers to a query with `PropertyQueries`, by property.
        property_responses: BTreeMap<String, PropertyResponse> = "PropertyResponses", 2.5;
        /// Whether the guest answers.
        ic_heartbeat_status: IntegrationComponentStatus = "ICHeartbeatStatus", 2.3 until 2.3;
        /// The document that it was created from, with its values (our extension). What was changed afterwards is not
        /// in it, but for `UserNamespace`, which is true where the container has one, whatever asked for it.
        document: Value = "Document", "extension";
        /// What the screen of a virtual machine shows, as a picture in the format PNG (our extension).
        console_image: ConsoleImage = "ConsoleImage", "extension";
        /// The image that it was made from, by a name or its digest (our extension).
        image: String = "Image", "extension";
        /// Its first detached process, as an enumeration tells it (our extension); see [`ComputeSystemProperties`].
        ///
        /// [`ComputeSystemProperties`]: crate::documents::ComputeSystemProperties
        detached_process: ProcessStatus = "DetachedProcess", "extension";
        /// The command of that process, likewise (our extension).
        detached_command: Vec<String> = "DetachedCommand", "extension";
    }
}
