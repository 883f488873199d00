//! [`DeviceInstance`].

use crate::documents::InterfaceClass;

document! {
    /// One device for a Windows container.
    DeviceInstance {
        /// Its instance id.
        id: String = "id", 2.3;
        /// Its place.
        location_path: String = "location_path", 2.3;
        /// Its port.
        port_name: String = "port_name", 2.3;
        /// Its interfaces.
        interface_class: Vec<InterfaceClass> = "interface_class", 2.3;
    }
}
