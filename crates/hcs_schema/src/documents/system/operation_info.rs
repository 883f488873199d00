//! [`OperationInfo`], [`OperationType`].

use crate::{documents::OperationFailureInfo, shape::format::DateTime};

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

schema_enum! {
    /// A kind of operation.
    OperationType {
        /// None.
        None = "None", 2.6;
        /// `HcsCreateComputeSystem`.
        Construct = "Construct", 2.6;
        /// `HcsStartComputeSystem`.
        Start = "Start", 2.6;
        /// `HcsPauseComputeSystem`.
        Pause = "Pause", 2.6;
        /// `HcsResumeComputeSystem`.
        Resume = "Resume", 2.6;
        /// `HcsShutDownComputeSystem`.
        Shutdown = "Shutdown", 2.6;
        /// `HcsTerminateComputeSystem`.
        Terminate = "Terminate", 2.6;
        /// `HcsSaveComputeSystem`.
        Save = "Save", 2.6;
        /// `HcsGetComputeSystemProperties`.
        GetProperties = "GetProperties", 2.6;
        /// `HcsModifyComputeSystem`.
        Modify = "Modify", 2.6;
        /// `HcsCrashComputeSystem`.
        Crash = "Crash", 2.6;
        /// `HcsCreateProcess`.
        ExecuteProcess = "ExecuteProcess", 2.6;
        /// `HcsGetProcessInfo`.
        GetProcessInfo = "GetProcessInfo", 2.6;
        /// `HcsSignalProcess`.
        SignalProcess = "SignalProcess", 2.6;
        /// `HcsModifyProcess`.
        ModifyProcess = "ModifyProcess", 2.6;
        /// `HcsCancelOperation`.
        CancelOperation = "CancelOperation", 2.6;
    }
}
