//! [`ShutdownType`].

schema_enum! {
    /// What a shutdown is to end in.
    ShutdownType {
        /// In power off.
        Shutdown = "Shutdown", 2.5;
        /// In a saved state.
        Hibernate = "Hibernate", 2.5;
        /// In a new start.
        Reboot = "Reboot", 2.5;
    }
}
