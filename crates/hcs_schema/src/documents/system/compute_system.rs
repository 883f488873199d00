//! [`ComputeSystem`].

use serde_json::Value;

use crate::documents::{Container, Version, VirtualMachine};

document! {
    /// A compute system to create: who owns it and what kind it is. Exactly one of `Container`, `VirtualMachine` and
    /// `HostedSystem` is given. Read by `HcsCreateComputeSystem`.
    ComputeSystem, checked by crate::rules::system::compute_system {
        /// Name of the program that owns the system; free text, shown by enumerations and usable as their filter.
        owner: String = "Owner", 2.0;
        /// The schema this document was written for. Absent means 2.x.
        schema_version: Version = "SchemaVersion", 2.0;
        /// Id of the running system inside which the one of `HostedSystem` is to be created.
        hosting_system_id: String = "HostingSystemId", 2.0;
        /// The document of the system to create inside another one.
        hosted_system: Value = "HostedSystem", 2.0;
        /// The settings of a container.
        container: Container = "Container", 2.0;
        /// The settings of a virtual machine.
        virtual_machine: VirtualMachine = "VirtualMachine", 2.0;
        /// Whether the system is killed when no client holds a handle to it any more.
        should_terminate_on_last_handle_closed: bool = "ShouldTerminateOnLastHandleClosed", 2.0;
    }
}
