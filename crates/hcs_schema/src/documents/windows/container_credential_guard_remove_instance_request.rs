//! [`ContainerCredentialGuardRemoveInstanceRequest`].

document! {
    /// Ends a credential guard.
    ContainerCredentialGuardRemoveInstanceRequest {
        /// Its id.
        id: String = "Id", 2.1;
    }
}
