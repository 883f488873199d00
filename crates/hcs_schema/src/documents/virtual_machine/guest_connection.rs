//! [`GuestConnection`].

document! {
    /// How the service talks to the agent in a virtual machine.
    GuestConnection {
        /// Whether by vsock.
        use_vsock: bool = "UseVsock", 2.1;
        /// Whether the connection stays when the machine is paused.
        use_connected_suspend: bool = "UseConnectedSuspend", 2.1;
        /// Whether the guest gets the host's time zone.
        use_host_time_zone: bool = "UseHostTimeZone", 2.4;
    }
}
