//! [`ContainerCredentialGuardSystemInfo`].

use crate::documents::ContainerCredentialGuardInstance;

document! {
    /// The credential guards of a host.
    ContainerCredentialGuardSystemInfo {
        /// Those that run.
        instances: Vec<ContainerCredentialGuardInstance> = "Instances", 2.1;
    }
}
