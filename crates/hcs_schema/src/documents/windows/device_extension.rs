//! [`DeviceExtension`].

use crate::documents::{DeviceCategory, Namespace};

document! {
    /// Device interfaces to add to a Windows container.
    DeviceExtension {
        /// The interfaces.
        device_category: DeviceCategory = "device_category", 2.3;
        /// Names they need.
        namespace: Namespace = "namespace", 2.3;
    }
}
