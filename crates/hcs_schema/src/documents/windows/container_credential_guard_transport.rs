//! [`ContainerCredentialGuardTransport`].

schema_enum! {
    /// How a credential guard is reached.
    ContainerCredentialGuardTransport {
        /// By local procedure calls.
        Lrpc = "LRPC", 2.1;
        /// By hypervisor sockets.
        HvSocket = "HvSocket", 2.1;
    }
}
