//! [`ShutdownMechanism`].

schema_enum! {
    /// Whom to ask for a shutdown.
    ShutdownMechanism {
        /// The guest agent.
        GuestConnection = "GuestConnection", 2.5;
        /// The guest's integration service.
        IntegrationService = "IntegrationService", 2.5;
    }
}
