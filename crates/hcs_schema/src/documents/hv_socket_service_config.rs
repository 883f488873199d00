//! [`HvSocketServiceConfig`].

document! {
    /// Who may use one service over hypervisor sockets.
    HvSocketServiceConfig {
        /// Who on the host may bind to it (SDDL).
        bind_security_descriptor: String = "BindSecurityDescriptor", 2.0;
        /// Who on the host may connect to it (SDDL).
        connect_security_descriptor: String = "ConnectSecurityDescriptor", 2.0;
        /// Whether one who binds for all systems serves this one.
        allow_wildcard_binds: bool = "AllowWildcardBinds", 2.0;
        /// Whether nobody may use it.
        disabled: bool = "Disabled", 2.7;
    }
}
