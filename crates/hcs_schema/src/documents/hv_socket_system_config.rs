//! [`HvSocketSystemConfig`].

use std::collections::BTreeMap;

use crate::documents::HvSocketServiceConfig;

document! {
    /// Who may use a system's hypervisor sockets.
    HvSocketSystemConfig {
        /// Who on the host may bind to a service that is not listed (SDDL).
        default_bind_security_descriptor: String = "DefaultBindSecurityDescriptor", 2.0;
        /// Who on the host may connect to a service that is not listed (SDDL).
        default_connect_security_descriptor: String = "DefaultConnectSecurityDescriptor", 2.0;
        /// Services with rules of their own, by GUID.
        service_table: BTreeMap<String, HvSocketServiceConfig> = "ServiceTable", 2.0;
    }
}
