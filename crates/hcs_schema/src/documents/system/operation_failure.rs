//! [`OperationFailure`], [`OperationFailureDetail`].

document! {
    /// A step of the service's work that failed.
    OperationFailure {
        /// The step.
        detail: OperationFailureDetail = "Detail", 2.4;
    }
}

schema_enum! {
    /// A step of the service's work.
    OperationFailureDetail {
        /// None.
        Invalid = "Invalid", 2.4;
        /// Making the system's record.
        CreateInternalError = "CreateInternalError", 2.4;
        /// Constructing, in a state that does not allow it.
        ConstructStateError = "ConstructStateError", 2.4;
        /// Comparing the operating system with the expected one.
        RuntimeOsTypeMismatch = "RuntimeOsTypeMismatch", 2.4;
        /// `HcsCreateComputeSystem`.
        Construct = "Construct", 2.4;
        /// `HcsStartComputeSystem`.
        Start = "Start", 2.4;
        /// `HcsPauseComputeSystem`.
        Pause = "Pause", 2.4;
        /// `HcsResumeComputeSystem`.
        Resume = "Resume", 2.4;
        /// `HcsShutDownComputeSystem`.
        Shutdown = "Shutdown", 2.4;
        /// `HcsTerminateComputeSystem`.
        Terminate = "Terminate", 2.4;
        /// `HcsSaveComputeSystem`.
        Save = "Save", 2.4;
        /// `HcsGetComputeSystemProperties`.
        GetProperties = "GetProperties", 2.4;
        /// `HcsModifyComputeSystem`.
        Modify = "Modify", 2.4;
        /// `HcsCrashComputeSystem`.
        Crash = "Crash", 2.4;
        /// Any, when the guest crashed.
        GuestCrash = "GuestCrash", 2.4;
        /// Telling those inside.
        LifecycleNotify = "LifecycleNotify", 2.4;
        /// `HcsCreateProcess`.
        ExecuteProcess = "ExecuteProcess", 2.4;
        /// `HcsGetProcessInfo`.
        GetProcessInfo = "GetProcessInfo", 2.4;
        /// Waiting for a process.
        WaitForProcess = "WaitForProcess", 2.4;
        /// `HcsSignalProcess`.
        SignalProcess = "SignalProcess", 2.4;
        /// `HcsModifyProcess`.
        ModifyProcess = "ModifyProcess", 2.4;
        /// Preparing a machine for containers.
        PrepareForHosting = "PrepareForHosting", 2.4;
        /// Entering a hosted container.
        RegisterHostedSystem = "RegisterHostedSystem", 2.4;
        /// Removing a hosted container.
        UnregisterHostedSystem = "UnregisterHostedSystem", 2.4;
        /// Preparing for clones.
        PrepareForClone = "PrepareForClone", 2.4;
        /// Fetching a template.
        GetCloneTemplate = "GetCloneTemplate", 2.4;
    }
}
