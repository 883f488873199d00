//! [`WorkerExit`], [`WorkerExitDetail`], [`WorkerExitType`].

use crate::documents::ExitInitiator;

document! {
    /// The end of the process that runs a virtual machine.
    WorkerExit {
        /// Its exit code.
        exit_code: u32 = "ExitCode", 2.4;
        /// The kind of its end.
        r#type: WorkerExitType = "Type", 2.4;
        /// The cause of the end.
        detail: WorkerExitDetail = "Detail", 2.4;
        /// The party that ended it.
        initiator: ExitInitiator = "Initiator", 2.4;
    }
}

schema_enum! {
    /// The cause of the end of a virtual machine's process. For people, not for programs.
    WorkerExitDetail {
        /// Nothing.
        Invalid = "Invalid", 2.4;
        /// The guest powered off.
        PowerOff = "PowerOff", 2.4;
        /// The host powered it off in need.
        PowerOffCritical = "PowerOffCritical", 2.4;
        /// The guest reset itself.
        Reset = "Reset", 2.4;
        /// The guest crashed.
        GuestCrash = "GuestCrash", 2.4;
        /// The firmware crashed.
        GuestFirmwareCrash = "GuestFirmwareCrash", 2.4;
        /// The processor gave up.
        TripleFault = "TripleFault", 2.4;
        /// A request to the interrupt controller that cannot be served.
        DeviceFatalApicRequest = "DeviceFatalApicRequest", 2.4;
        /// A request to a processor register that cannot be served.
        DeviceFatalMsrRequest = "DeviceFatalMsrRequest", 2.4;
        /// An exception that cannot be served.
        DeviceFatalException = "DeviceFatalException", 2.4;
        /// An error of a device.
        DeviceFatalError = "DeviceFatalError", 2.4;
        /// A machine check.
        DeviceMachineCheck = "DeviceMachineCheck", 2.4;
        /// An instruction that could not be emulated.
        EmulatorError = "EmulatorError", 2.4;
        /// The hypervisor's driver ended it.
        VidTerminate = "VidTerminate", 2.4;
        /// The process vanished.
        ProcessUnexpectedExit = "ProcessUnexpectedExit", 2.4;
        /// It could not be initialised.
        InitializationFailure = "InitializationFailure", 2.4;
        /// It was not initialised in time.
        InitializationStartTimeout = "InitializationStartTimeout", 2.4;
        /// It could not be started.
        ColdStartFailure = "ColdStartFailure", 2.4;
        /// It could not be started again.
        ResetStartFailure = "ResetStartFailure", 2.4;
        /// It could not be restored quickly.
        FastRestoreStartFailure = "FastRestoreStartFailure", 2.4;
        /// It could not be restored.
        RestoreStartFailure = "RestoreStartFailure", 2.4;
        /// It was saved quickly, its memory kept.
        FastSavePreservePartition = "FastSavePreservePartition", 2.4;
        /// The same, handles passed on.
        FastSavePreservePartitionHandleTransfer = "FastSavePreservePartitionHandleTransfer", 2.4;
        /// It was saved quickly.
        FastSave = "FastSave", 2.4;
        /// It became a template.
        CloneTemplate = "CloneTemplate", 2.4;
        /// It was saved.
        Save = "Save", 2.4;
        /// It moved to another host.
        Migrate = "Migrate", 2.4;
        /// It could not move to another host.
        MigrateFailure = "MigrateFailure", 2.4;
        /// It is not known any more.
        CannotReferenceVm = "CannotReferenceVm", 2.4;
        /// The group it belongs to was removed.
        MgotUnregister = "MgotUnregister", 2.4;
        /// It was saved quickly, storage handles passed on.
        FastSavePreservePartitionHandleTransferStorage = "FastSavePreservePartitionHandleTransferStorage", 2.5;
        /// It was saved quickly, network handles passed on.
        FastSavePreservePartitionHandleTransferNetworking = "FastSavePreservePartitionHandleTransferNetworking", 2.5;
        /// It was saved quickly, both kinds of handles passed on.
        FastSavePreservePartitionHandleTransferStorageAndNetworking = "FastSavePreservePartitionHandleTransferStorageAndNetworking", 2.5;
        /// It was saved quickly for an update of the hypervisor.
        FastSavePreservePartitionHsr = "FastSavePreservePartitionHsr", 2.5;
        /// The kernel killed it because the system had no memory left.
        OutOfMemory = "OutOfMemory", "extension";
    }
}

schema_enum! {
    /// How a virtual machine's process ended.
    WorkerExitType {
        /// It did not.
        None = "None", 2.4;
        /// It could not be initialised.
        InitializationFailed = "InitializationFailed", 2.4;
        /// It stopped.
        Stopped = "Stopped", 2.4;
        /// It was saved.
        Saved = "Saved", 2.4;
        /// It stopped where the guest reset itself.
        StoppedOnReset = "StoppedOnReset", 2.4;
        /// It stopped unexpectedly.
        UnexpectedStop = "UnexpectedStop", 2.4;
        /// It could not be reset.
        ResetFailed = "ResetFailed", 2.4;
        /// An error it could not recover from.
        UnrecoverableError = "UnrecoverableError", 2.4;
    }
}
