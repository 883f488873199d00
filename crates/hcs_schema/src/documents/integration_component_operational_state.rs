//! [`IntegrationComponentOperationalState`].

schema_enum! {
    /// How a service in the guest is.
    IntegrationComponentOperationalState {
        /// Nobody can say.
        Unknown = "Unknown", 2.5 until 2.4;
        /// It works in part.
        Degraded = "Degraded", 2.5 until 2.4;
        /// It is not in use.
        Dormant = "Dormant", 2.5 until 2.4;
        /// It failed.
        Error = "Error", 2.5 until 2.4;
        /// It stopped answering.
        LostCommunication = "LostCommunication", 2.5 until 2.4;
        /// It failed for good.
        NonRecoverableError = "NonRecoverableError", 2.5 until 2.4;
        /// It never answered.
        NoContact = "NoContact", 2.5 until 2.4;
        /// It works.
        Ok = "Ok", 2.5 until 2.4;
    }
}
