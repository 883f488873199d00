//! [`ContainerCredentialGuardInstance`].

use crate::documents::{
    ContainerCredentialGuardHvSocketServiceConfig, ContainerCredentialGuardState,
};

document! {
    /// A credential guard that runs.
    ContainerCredentialGuardInstance {
        /// Its id.
        id: String = "Id", 2.1;
        /// How it is reached.
        credential_guard: ContainerCredentialGuardState = "CredentialGuard", 2.1;
        /// The hypervisor socket it needs.
        hv_socket_config: ContainerCredentialGuardHvSocketServiceConfig = "HvSocketConfig", 2.1;
    }
}
