//! [`UefiBootEntry`], [`UefiBootDevice`].

document! {
    /// A boot entry of the firmware.
    UefiBootEntry {
        /// The kind of device to boot from.
        device_type: UefiBootDevice = "DeviceType", 2.1;
        /// Path of the file or device.
        device_path: String = "DevicePath", 2.1;
        /// Number of the disk.
        disk_number: u16 = "DiskNumber", 2.1;
        /// Handed to the program booted.
        optional_data: String = "OptionalData", 2.1;
        /// Host directory to boot from.
        vmb_fs_root_path: String = "VmbFsRootPath", 2.1;
    }
}

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
