//! [`VirtualMachine`].

use crate::documents::{
    Chipset, DebugOptions, Devices, GuestConnection, GuestState, MigrationInitializeOptions,
    Networking, RegistryChanges, RestoreState, SecuritySettings, Services, StorageQoS, Topology,
    Version,
};

document! {
    /// The settings from which a virtual machine is made.
    VirtualMachine {
        /// Version of the virtual hardware.
        version: Version = "Version", 2.5;
        /// Whether a reset of the guest is an end.
        stop_on_reset: bool = "StopOnReset", 2.0;
        /// How it boots.
        chipset: Chipset = "Chipset", 2.0;
        /// Memory and processors.
        compute_topology: Topology = "ComputeTopology", 2.0;
        /// Devices.
        devices: Devices = "Devices", 2.0;
        /// Services between host and guest.
        services: Services = "Services", 2.3;
        /// Files that keep its state.
        guest_state: GuestState = "GuestState", 2.1;
        /// The saved state that it starts from instead of booting.
        restore_state: RestoreState = "RestoreState", 2.0;
        /// Changes to a Windows guest's registry.
        registry_changes: RegistryChanges = "RegistryChanges", 2.0;
        /// Limits on its input and output.
        storage_qos: StorageQoS = "StorageQoS", 2.1;
        /// How the service talks to its agent.
        guest_connection: GuestConnection = "GuestConnection", 2.1;
        /// Protection of the guest, also from its host.
        security_settings: SecuritySettings = "SecuritySettings", 2.7;
        /// The data saved when the guest crashes.
        debug_options: DebugOptions = "DebugOptions", 2.7;
        /// The host's partition of resources it runs in.
        resource_partition_id: String = "ResourcePartitionId", 2.7;
        /// How it is moved here from another host.
        migration_options: MigrationInitializeOptions = "MigrationOptions", 2.8;
        /// Its networks, as a container has them: endpoints that are made for it and end with it, and names that its
        /// agent writes down in the guest. Endpoints that are there already may stand in `Devices` instead.
        networking: Networking = "Networking", "extension";
    }
}
