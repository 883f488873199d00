//! [`HostProcessorModificationRequest`].

use serde_json::Value;

use crate::documents::ModifyServiceOperation;

document! {
    /// A change to the groups of host processors.
    HostProcessorModificationRequest {
        /// The action.
        operation: ModifyServiceOperation = "Operation", 2.1;
        /// With which details.
        operation_details: Value = "OperationDetails", 2.1;
    }
}
