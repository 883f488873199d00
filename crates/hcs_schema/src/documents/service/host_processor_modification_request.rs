//! [`HostProcessorModificationRequest`], [`ModifyServiceOperation`].

use serde_json::Value;

document! {
    /// A change to the groups of host processors.
    HostProcessorModificationRequest {
        /// The action.
        operation: ModifyServiceOperation = "Operation", 2.1;
        /// With which details.
        operation_details: Value = "OperationDetails", 2.1;
    }
}

schema_enum! {
    /// A change to the groups of host processors.
    ModifyServiceOperation {
        /// Makes one.
        CreateGroup = "CreateGroup", 2.1;
        /// Removes one.
        DeleteGroup = "DeleteGroup", 2.1;
        /// Sets a property of one.
        SetProperty = "SetProperty", 2.1;
    }
}
