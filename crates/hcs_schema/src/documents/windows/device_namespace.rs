//! [`DeviceNamespace`].

use crate::documents::{DeviceCategory, DeviceInstance};

document! {
    /// Devices that a Windows container sees.
    DeviceNamespace {
        /// Whether it needs the host's driver files.
        requires_driverstore: bool = "requires_driverstore", 2.3;
        /// Interfaces by kind.
        device_category: Vec<DeviceCategory> = "device_category", 2.3;
        /// Single devices.
        device_instance: Vec<DeviceInstance> = "device_instance", 2.3;
    }
}
