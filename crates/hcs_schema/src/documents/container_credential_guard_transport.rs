//! [`ContainerCredentialGuardTransport`].

schema_enum! {
    /// How a credential guard is reached.
    ContainerCredentialGuardTransport {
        /// By local procedure calls.
        Lrpc = "LRPC", 2.1 until 2.4;
        /// By hypervisor sockets.
        HvSocket = "HvSocket", 2.1 until 2.4;
    }
}
