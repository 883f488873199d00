//! [`InterfaceClass`], [`InterfaceClassType`].

use crate::shape::format::Guid;

document! {
    /// Interfaces of devices.
    InterfaceClass {
        /// How the identifier names them.
        r#type: InterfaceClassType = "type", 2.3;
        /// Which.
        identifier: String as Guid = "identifier", 2.3;
        /// Whether devices below are included.
        recurse: bool = "recurse", 2.3;
    }
}

schema_enum! {
    /// How an identifier names interfaces of devices. The order counts: of two for one identifier the later wins.
    InterfaceClassType {
        /// As the one above.
        Inherit = "Inherit", 2.3;
        /// A device.
        DeviceInstance = "DeviceInstance", 2.3;
        /// A class.
        ClassGuid = "ClassGuid", 2.3;
    }
}
