//! [`ModifyPropertyType`].

schema_enum! {
    /// What can be changed of the service.
    ModifyPropertyType {
        /// Groups of host processors.
        CpuGroup = "CpuGroup", 2.1 until 2.4;
        /// Credential guards.
        ContainerCredentialGuard = "ContainerCredentialGuard", 2.1 until 2.4;
    }
}
