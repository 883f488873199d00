//! [`ExitInitiator`].

schema_enum! {
    /// The party that ended a system.
    ExitInitiator {
        /// No party ended it.
        None = "None", 2.4;
        /// The guest.
        GuestOS = "GuestOS", 2.4;
        /// A client of the service.
        Client = "Client", 2.4;
        /// The service.
        Internal = "Internal", 2.4;
        /// The party is not known.
        Unknown = "Unknown", 2.4;
    }
}
