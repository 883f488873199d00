//! [`UefiBootEntry`].

use crate::documents::UefiBootDevice;

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
