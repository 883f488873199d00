//! [`Device`].

use crate::{documents::DeviceType, shape::format::Guid};

document! {
    /// A device of the host for a container.
    Device {
        /// How the device is named.
        r#type: DeviceType = "Type", 2.2;
        /// Class of interfaces to give, for `ClassGuid`.
        interface_class_guid: String as Guid = "InterfaceClassGuid", 2.1;
        /// Place of the device, for `DeviceInstance`.
        location_path: String = "LocationPath", 2.2;
    }
}
