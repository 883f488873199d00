//! [`HvSocketServiceConfig`].

document! {
    /// The users who may use one service over hypervisor sockets.
    HvSocketServiceConfig {
        /// The users on the host who may bind to it (SDDL).
        bind_security_descriptor: String = "BindSecurityDescriptor", 2.0;
        /// The users on the host who may connect to it (SDDL).
        connect_security_descriptor: String = "ConnectSecurityDescriptor", 2.0;
        /// Whether a listener that binds for all systems serves this one.
        allow_wildcard_binds: bool = "AllowWildcardBinds", 2.0;
        /// Whether its use is forbidden to all users.
        disabled: bool = "Disabled", 2.7;
    }
}
