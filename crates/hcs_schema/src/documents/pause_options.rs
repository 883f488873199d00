//! [`PauseOptions`].

use crate::documents::{PauseNotification, PauseSuspensionLevel};

document! {
    /// How to pause a compute system. Read by `HcsPauseComputeSystem`.
    PauseOptions {
        /// How much of it goes on.
        suspension_level: PauseSuspensionLevel = "SuspensionLevel", 2.0;
        /// The message to the guest.
        hosted_notification: PauseNotification = "HostedNotification", 2.1;
    }
}
