//! [`OsLayerType`].

schema_enum! {
    /// What an operating system layer is for.
    OsLayerType {
        /// Containers.
        Container = "Container", 2.1;
        /// Virtual machines.
        Vm = "Vm", 2.1;
    }
}
