//! [`IntegrationComponentOperatingStateReason`].

schema_enum! {
    /// Why a service in the guest is as it is.
    IntegrationComponentOperatingStateReason {
        /// The reason is not known.
        Unknown = "Unknown", 2.3;
        /// Programs in the guest are in trouble.
        AppsInCriticalState = "AppsInCriticalState", 2.3;
        /// It did not answer in time.
        CommunicationTimedOut = "CommunicationTimedOut", 2.3;
        /// It cannot be talked to.
        FailedCommunication = "FailedCommunication", 2.3;
        /// Programs in the guest are well.
        HealthyApps = "HealthyApps", 2.3;
        /// It speaks another version.
        ProtocolMismatch = "ProtocolMismatch", 2.3;
    }
}
