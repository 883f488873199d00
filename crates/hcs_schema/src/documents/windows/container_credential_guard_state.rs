//! [`ContainerCredentialGuardState`].

use crate::{documents::ContainerCredentialGuardTransport, shape::format::Binary};

document! {
    /// How a container reaches its credential guard.
    ContainerCredentialGuardState {
        /// Proves that a call comes from the container.
        cookie: String as Binary = "Cookie", 2.1;
        /// Name of its endpoint.
        rpc_endpoint: String = "RpcEndpoint", 2.1;
        /// The way to it.
        transport: ContainerCredentialGuardTransport = "Transport", 2.1;
        /// The account it stands for.
        credential_spec: String = "CredentialSpec", 2.1;
    }
}
