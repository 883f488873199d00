//! [`IntegrationComponentStatus`].

use crate::documents::{
    IntegrationComponentOperatingStateReason, IntegrationComponentOperationalState,
};

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
