//! [`OsLayerType`].

schema_enum! {
    /// The purpose of an operating system layer.
    OsLayerType {
        /// Containers.
        Container = "Container", 2.1;
        /// Virtual machines.
        Vm = "Vm", 2.1;
    }
}
