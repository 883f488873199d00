//! [`VirtualDeviceFailure`].

use crate::{documents::VirtualDeviceFailureDetail, shape::format::Guid};

document! {
    /// A virtual device that failed.
    VirtualDeviceFailure {
        /// The action that failed.
        detail: VirtualDeviceFailureDetail = "Detail", 2.4;
        /// The device, in words.
        name: String = "Name", 2.4;
        /// The kind of device.
        device_id: String as Guid = "DeviceId", 2.4;
        /// The device.
        instance_id: String as Guid = "InstanceId", 2.4;
    }
}
