//! [`VirtualSlitType`].

schema_enum! {
    /// How the distances between NUMA nodes are told to a guest.
    VirtualSlitType {
        /// Not at all.
        None = "None", 2.7;
        /// As the host's firmware says.
        Firmware = "Firmware", 2.7;
        /// As measured.
        Measured = "Measured", 2.7;
        /// As the host's firmware says, else as measured.
        FirmwareFallbackMeasured = "FirmwareFallbackMeasured", 2.7;
    }
}
