//! [`ContainersDefDevice`], `ContainersDef_Device` in the schema.

use crate::documents::DeviceExtension;

document! {
    /// Device interfaces that a Windows container is to see besides the usual ones.
    ContainersDefDevice = "ContainersDef_Device" {
        /// The sets of interfaces.
        device_extension: Vec<DeviceExtension> = "device_extension", 2.3;
    }
}
