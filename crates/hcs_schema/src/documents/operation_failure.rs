//! [`OperationFailure`].

use crate::documents::OperationFailureDetail;

document! {
    /// A step of the service's work that failed.
    OperationFailure {
        /// The step.
        detail: OperationFailureDetail = "Detail", 2.4;
    }
}
