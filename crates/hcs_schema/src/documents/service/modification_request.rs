//! [`ModificationRequest`], [`ModifyPropertyType`].

use serde_json::Value;

document! {
    /// A change to the service. Read by `HcsModifyServiceSettings`.
    ModificationRequest {
        /// The thing to change.
        property_type: ModifyPropertyType = "PropertyType", 2.1;
        /// The change's document.
        settings: Value = "Settings", 2.1;
    }
}

schema_enum! {
    /// The properties of the service that can be changed.
    ModifyPropertyType {
        /// Groups of host processors.
        CpuGroup = "CpuGroup", 2.1;
        /// Credential guards.
        ContainerCredentialGuard = "ContainerCredentialGuard", 2.1;
    }
}
