//! [`FlexibleIoDevice`], [`FlexibleIoDeviceHostingModel`].

use crate::shape::format::Guid;

document! {
    /// A virtual device that another program emulates.
    FlexibleIoDevice {
        /// Which emulator.
        emulator_id: String as Guid = "EmulatorId", 2.1;
        /// Where the emulator runs.
        hosting_model: FlexibleIoDeviceHostingModel = "HostingModel", 2.1;
        /// Settings for the emulator.
        configuration: Vec<String> = "Configuration", 2.1;
    }
}

schema_enum! {
    /// Where the emulator of a device runs.
    FlexibleIoDeviceHostingModel {
        /// In the process that runs the machine.
        Internal = "Internal", 2.1;
        /// In a process of its own.
        External = "External", 2.1;
        /// In a process of its own with few rights.
        ExternalRestricted = "ExternalRestricted", 2.7;
    }
}
