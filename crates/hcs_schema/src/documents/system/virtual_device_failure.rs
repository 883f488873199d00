//! [`VirtualDeviceFailure`], [`VirtualDeviceFailureDetail`].

use crate::shape::format::Guid;

document! {
    /// A virtual device that failed.
    VirtualDeviceFailure {
        /// The action that failed.
        detail: VirtualDeviceFailureDetail = "Detail", 2.4;
        /// The device, in words.
        name: String = "Name", 2.4;
        /// The kind of device.
        device_id: String as Guid = "DeviceId", 2.4;
        /// The device.
        instance_id: String as Guid = "InstanceId", 2.4;
    }
}

schema_enum! {
    /// The action of a virtual device that failed.
    VirtualDeviceFailureDetail {
        /// Nothing.
        None = "None", 2.4;
        /// It was made.
        Create = "Create", 2.4;
        /// It was initialised.
        Initialize = "Initialize", 2.4;
        /// It began to reserve resources.
        StartReservingResources = "StartReservingResources", 2.4;
        /// It had resources reserved.
        FinishReservingResources = "FinishReservingResources", 2.4;
        /// It gave reserved resources back.
        FreeReservedResources = "FreeReservedResources", 2.4;
        /// It saved its reserved resources.
        SaveReservedResources = "SaveReservedResources", 2.4;
        /// It was powered on.
        PowerOnCold = "PowerOnCold", 2.4;
        /// It was powered on from saved state.
        PowerOnRestore = "PowerOnRestore", 2.4;
        /// It was powered off.
        PowerOff = "PowerOff", 2.4;
        /// It saved its state.
        Save = "Save", 2.4;
        /// It was resumed.
        Resume = "Resume", 2.4;
        /// It was paused.
        Pause = "Pause", 2.4;
        /// It turned optimisations on.
        EnableOptimizations = "EnableOptimizations", 2.4;
        /// It began to turn optimisations off.
        StartDisableOptimizations = "StartDisableOptimizations", 2.4;
        /// It had turned optimisations off.
        FinishDisableOptimizations = "FinishDisableOptimizations", 2.4;
        /// It was reset.
        Reset = "Reset", 2.4;
        /// It had been reset.
        PostReset = "PostReset", 2.4;
        /// It was taken down.
        Teardown = "Teardown", 2.4;
        /// It saved its data about compatibility.
        SaveCompatibilityInfo = "SaveCompatibilityInfo", 2.4;
        /// It restored its metrics.
        MetricRestore = "MetricRestore", 2.4;
        /// It listed its metrics.
        MetricEnumerate = "MetricEnumerate", 2.4;
        /// It listed its metrics to save them.
        MetricEnumerateForSave = "MetricEnumerateForSave", 2.4;
        /// It reset its metrics.
        MetricReset = "MetricReset", 2.4;
        /// It turned metrics on.
        MetricEnable = "MetricEnable", 2.4;
        /// It turned metrics off.
        MetricDisable = "MetricDisable", 2.4;
    }
}
