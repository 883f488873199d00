//! [`SystemPropertyQuery`], `System_PropertyQuery` in the schema.

use std::collections::BTreeMap;

use serde_json::Value;

document! {
    /// Which properties of a compute system are wanted; the basic ones always come. Read by
    /// `HcsGetComputeSystemProperties`.
    SystemPropertyQuery = "System_PropertyQuery" {
        /// Properties wanted.
        property_types: Vec<SystemPropertyType> = "PropertyTypes", 2.1;
        /// Properties wanted, each with a document that says more.
        queries: BTreeMap<String, Value> = "Queries", 2.5;
        /// The name that clients give to `Queries`.
        property_queries: BTreeMap<String, Value> = "PropertyQueries", 2.7;
    }
}

schema_enum! {
    /// A property of a compute system.
    SystemPropertyType = "System_PropertyType" {
        /// The part that every answer has, also unasked: id, kind, owner and state. Clients ask for it by name.
        Basic = "Basic", "extension";
        /// Memory of a virtual machine.
        Memory = "Memory", 2.1;
        /// Its use of resources.
        Statistics = "Statistics", 2.1;
        /// Its processes.
        ProcessList = "ProcessList", 2.1;
        /// Whether it ends with the last handle.
        TerminateOnLastHandleClosed = "TerminateOnLastHandleClosed", 2.1;
        /// Memory shared with the host.
        SharedMemoryRegion = "SharedMemoryRegion", 2.1;
        /// The abilities of its guest agent.
        GuestConnection = "GuestConnection", 2.1;
        /// Memory as the guest sees it; dropped from the schema.
        GuestMemory = "GuestMemory", 2.1 until 2.3;
        /// Whether the guest answers; dropped from the schema.
        ICHeartbeatStatus = "ICHeartbeatStatus", 2.3 until 2.3;
        /// The document that it was created from, with its values. `UserNamespace` is true in it where the container
        /// has one, whatever asked for it.
        Document = "Document", "extension";
        /// What the screen of a virtual machine shows.
        ConsoleImage = "ConsoleImage", "extension";
    }
}
