//! [`IntegrationComponentStatus`], [`IntegrationComponentOperatingStateReason`],
//! [`IntegrationComponentOperationalState`].

document! {
    /// Whether a service in the guest works.
    IntegrationComponentStatus {
        /// Whether it is meant to.
        is_enabled: bool = "IsEnabled", 2.3;
        /// How it is.
        state: IntegrationComponentOperationalState = "State", 2.3;
        /// Why it is so.
        reason: IntegrationComponentOperatingStateReason = "Reason", 2.3;
    }
}

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
