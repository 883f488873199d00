//! [`IntegrationComponentOperationalState`].

schema_enum! {
    /// How a service in the guest is.
    IntegrationComponentOperationalState {
        /// The state is not known.
        Unknown = "Unknown", 2.3;
        /// It works in part.
        Degraded = "Degraded", 2.3;
        /// It is not in use.
        Dormant = "Dormant", 2.3;
        /// It failed.
        Error = "Error", 2.3;
        /// It stopped answering.
        LostCommunication = "LostCommunication", 2.3;
        /// It failed for good.
        NonRecoverableError = "NonRecoverableError", 2.3;
        /// It never answered.
        NoContact = "NoContact", 2.3;
        /// It works.
        Ok = "Ok", 2.3;
    }
}
