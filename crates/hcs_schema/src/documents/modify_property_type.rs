//! [`ModifyPropertyType`].

schema_enum! {
    /// What can be changed of the service.
    ModifyPropertyType {
        /// Groups of host processors.
        CpuGroup = "CpuGroup", 2.1;
        /// Credential guards.
        ContainerCredentialGuard = "ContainerCredentialGuard", 2.1;
    }
}
