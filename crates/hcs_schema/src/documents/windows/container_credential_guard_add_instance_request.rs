//! [`ContainerCredentialGuardAddInstanceRequest`].

use crate::documents::ContainerCredentialGuardTransport;

document! {
    /// Starts a credential guard for a container.
    ContainerCredentialGuardAddInstanceRequest {
        /// Its id.
        id: String = "Id", 2.1;
        /// The account it stands for: a JSON document in a string.
        credential_spec: String = "CredentialSpec", 2.1;
        /// How the container reaches it.
        transport: ContainerCredentialGuardTransport = "Transport", 2.1;
    }
}
