//! [`IsolationSettings`].

document! {
    /// How a guest is kept from its host.
    IsolationSettings {
        /// The way it is done, for example `SecureNestedPaging`.
        isolation_type: String = "IsolationType", 2.7;
        /// Host that debugs the layer below the guest.
        debug_host: String = "DebugHost", 2.7;
        /// Port on that host.
        debug_port: i64 = "DebugPort", 2.7;
        /// Data that the guest's measurement includes.
        launch_data: String = "LaunchData", 2.7;
        /// Whether there is a layer below the guest.
        hcl_enabled: bool = "HclEnabled", 2.7;
    }
}
