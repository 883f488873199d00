//! [`InterfaceClassType`].

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
