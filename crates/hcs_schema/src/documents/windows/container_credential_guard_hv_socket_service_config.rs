//! [`ContainerCredentialGuardHvSocketServiceConfig`].

use crate::{documents::HvSocketServiceConfig, shape::format::Guid};

document! {
    /// The hypervisor socket by which a credential guard is reached.
    ContainerCredentialGuardHvSocketServiceConfig {
        /// The service to listen on.
        service_id: String as Guid = "ServiceId", 2.1;
        /// The users who may bind and connect.
        service_config: HvSocketServiceConfig = "ServiceConfig", 2.1;
    }
}
