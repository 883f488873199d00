//! [`ContainerCredentialGuardOperationRequest`], [`ContainerCredentialGuardModifyOperation`].

use serde_json::Value;

document! {
    /// A change to the service's credential guards.
    ContainerCredentialGuardOperationRequest {
        /// The action.
        operation: ContainerCredentialGuardModifyOperation = "Operation", 2.1;
        /// With which details.
        operation_details: Value = "OperationDetails", 2.1;
    }
}

schema_enum! {
    /// A change to the service's credential guards.
    ContainerCredentialGuardModifyOperation {
        /// One is started.
        AddInstance = "AddInstance", 2.1;
        /// One is ended.
        RemoveInstance = "RemoveInstance", 2.1;
    }
}
