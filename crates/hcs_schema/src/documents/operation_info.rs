//! [`OperationInfo`].

use crate::{
    documents::{OperationFailureInfo, OperationType},
    shape::format::DateTime,
};

document! {
    /// An operation on a compute system. Comes with the operation information events.
    OperationInfo {
        /// Its kind.
        operation: OperationType = "Operation", 2.6;
        /// When it began.
        start_timestamp: String as DateTime = "StartTimestamp", 2.6;
        /// When it ended.
        end_timestamp: String as DateTime = "EndTimestamp", 2.6;
        /// How it failed, if it did.
        failure_info: OperationFailureInfo = "FailureInfo", 2.6;
    }
}
