//! [`ExitInitiator`].

schema_enum! {
    /// Who ended a system.
    ExitInitiator {
        /// Nobody.
        None = "None", 2.4;
        /// The guest.
        GuestOS = "GuestOS", 2.4;
        /// A client of the service.
        Client = "Client", 2.4;
        /// The service.
        Internal = "Internal", 2.4;
        /// Nobody can say.
        Unknown = "Unknown", 2.4;
    }
}
