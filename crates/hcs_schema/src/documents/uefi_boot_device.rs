//! [`UefiBootDevice`].

schema_enum! {
    /// A kind of device to boot from.
    UefiBootDevice {
        /// A SCSI disk.
        ScsiDrive = "ScsiDrive", 2.0;
        /// A directory of the host.
        VmbFs = "VmbFs", 2.0;
        /// The network.
        Network = "Network", 2.0;
        /// A file.
        File = "File", 2.1;
    }
}
