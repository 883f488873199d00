//! [`ContainerCredentialGuardModifyOperation`].

schema_enum! {
    /// A change to the service's credential guards.
    ContainerCredentialGuardModifyOperation {
        /// One is started.
        AddInstance = "AddInstance", 2.1;
        /// One is ended.
        RemoveInstance = "RemoveInstance", 2.1;
    }
}
