//! [`ModifyPropertyType`].

schema_enum! {
    /// The properties of the service that can be changed.
    ModifyPropertyType {
        /// Groups of host processors.
        CpuGroup = "CpuGroup", 2.1;
        /// Credential guards.
        ContainerCredentialGuard = "ContainerCredentialGuard", 2.1;
    }
}
