//! [`GuestConnectionInfo`].

use serde_json::Value;

use crate::documents::Version;

document! {
    /// What the agent in a virtual machine can do.
    GuestConnectionInfo {
        /// Schema versions it knows.
        supported_schema_versions: Vec<Version> = "SupportedSchemaVersions", 2.1;
        /// Version of the bridge protocol that was agreed.
        protocol_version: u32 = "ProtocolVersion", 2.1;
        /// What it says of itself.
        guest_defined_capabilities: Value = "GuestDefinedCapabilities", 2.1;
    }
}
