//! [`FlexibleIoDeviceHostingModel`].

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
