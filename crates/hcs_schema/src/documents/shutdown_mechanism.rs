//! [`ShutdownMechanism`].

schema_enum! {
    /// The part of the guest to ask for a shutdown.
    ShutdownMechanism {
        /// The guest agent.
        GuestConnection = "GuestConnection", 2.5;
        /// The guest's integration service.
        IntegrationService = "IntegrationService", 2.5;
    }
}
