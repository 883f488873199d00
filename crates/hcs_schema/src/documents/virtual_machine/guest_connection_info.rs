//! [`GuestConnectionInfo`].

use serde_json::Value;

use crate::documents::Version;

document! {
    /// The abilities of the agent in a virtual machine.
    GuestConnectionInfo {
        /// Schema versions it knows.
        supported_schema_versions: Vec<Version> = "SupportedSchemaVersions", 2.1;
        /// Version of the bridge protocol that was agreed.
        protocol_version: u32 = "ProtocolVersion", 2.1;
        /// Its own description of its abilities.
        guest_defined_capabilities: Value = "GuestDefinedCapabilities", 2.1;
    }
}
