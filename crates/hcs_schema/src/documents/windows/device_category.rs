//! [`DeviceCategory`].

use crate::documents::InterfaceClass;

document! {
    /// Device interfaces of one kind.
    DeviceCategory {
        /// Name of the kind.
        name: String = "name", 2.3;
        /// The interfaces.
        interface_class: Vec<InterfaceClass> = "interface_class", 2.3;
    }
}
