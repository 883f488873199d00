//! [`ShutdownType`].

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
