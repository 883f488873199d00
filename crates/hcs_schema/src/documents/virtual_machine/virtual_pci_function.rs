//! [`VirtualPciFunction`].

document! {
    /// A PCI function of the host.
    VirtualPciFunction {
        /// Which.
        device_instance_path: String = "DeviceInstancePath", 2.3;
        /// Number of its virtual function; 65535 is the function itself.
        virtual_function: u16 = "VirtualFunction", 2.3;
        /// Whether devices may talk to each other without the host's checks.
        allow_direct_translated_p2p: bool = "AllowDirectTranslatedP2P", 2.4;
    }
}
