//! [`DeviceType`].

schema_enum! {
    /// How a device for a container is named.
    DeviceType {
        /// By its class of interfaces.
        ClassGuid = "ClassGuid", 2.2;
        /// By its place.
        DeviceInstance = "DeviceInstance", 2.2;
        /// It is every graphics processor of the host.
        GpuMirror = "GpuMirror", 2.2;
    }
}
