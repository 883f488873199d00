//! [`ShutdownOptions`], [`ShutdownMechanism`], [`ShutdownType`].

document! {
    /// How to shut a compute system down. Read by `HcsShutDownComputeSystem`.
    ShutdownOptions {
        /// The part of the guest to ask.
        mechanism: ShutdownMechanism = "Mechanism", 2.5;
        /// The kind of shutdown to ask for.
        r#type: ShutdownType = "Type", 2.5;
        /// Whether programs are not given time.
        force: bool = "Force", 2.5;
        /// Why, in words, for the guest's log.
        reason: String = "Reason", 2.5;
    }
}

schema_enum! {
    /// The part of the guest to ask for a shutdown.
    ShutdownMechanism {
        /// The guest agent.
        GuestConnection = "GuestConnection", 2.5;
        /// The guest's integration service.
        IntegrationService = "IntegrationService", 2.5;
    }
}

schema_enum! {
    /// The state in which a shutdown ends.
    ShutdownType {
        /// In power off.
        Shutdown = "Shutdown", 2.5;
        /// In a saved state.
        Hibernate = "Hibernate", 2.5;
        /// In a new start.
        Reboot = "Reboot", 2.5;
    }
}
