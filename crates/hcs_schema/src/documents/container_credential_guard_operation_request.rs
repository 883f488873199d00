//! [`ContainerCredentialGuardOperationRequest`].

use serde_json::Value;

use crate::documents::ContainerCredentialGuardModifyOperation;

document! {
    /// A change to the service's credential guards.
    ContainerCredentialGuardOperationRequest {
        /// The action.
        operation: ContainerCredentialGuardModifyOperation = "Operation", 2.1;
        /// With which details.
        operation_details: Value = "OperationDetails", 2.1;
    }
}
