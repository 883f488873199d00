//! [`HvSocketSystemConfig`].

use std::collections::BTreeMap;

use crate::documents::HvSocketServiceConfig;

document! {
    /// The users who may use a system's hypervisor sockets.
    HvSocketSystemConfig {
        /// The users on the host who may bind to a service that is not listed (SDDL).
        default_bind_security_descriptor: String = "DefaultBindSecurityDescriptor", 2.0;
        /// The users on the host who may connect to a service that is not listed (SDDL).
        default_connect_security_descriptor: String = "DefaultConnectSecurityDescriptor", 2.0;
        /// Services with rules of their own, by GUID.
        service_table: BTreeMap<String, HvSocketServiceConfig> = "ServiceTable", 2.0;
    }
}
