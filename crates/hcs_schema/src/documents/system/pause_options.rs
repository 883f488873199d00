//! [`PauseOptions`], [`PauseSuspensionLevel`].

use crate::documents::PauseNotification;

document! {
    /// How to pause a compute system. Read by `HcsPauseComputeSystem`.
    PauseOptions {
        /// How much of it goes on.
        suspension_level: PauseSuspensionLevel = "SuspensionLevel", 2.0;
        /// The message to the guest.
        hosted_notification: PauseNotification = "HostedNotification", 2.1;
    }
}

schema_enum! {
    /// How much of a paused system goes on.
    PauseSuspensionLevel {
        /// Nothing.
        Suspend = "Suspend", 2.0;
        /// Nothing, and some of its memory is taken.
        MemoryLow = "MemoryLow", 2.0;
        /// Nothing, and much of its memory is taken.
        MemoryMedium = "MemoryMedium", 2.0;
        /// Nothing, and most of its memory is taken.
        MemoryHigh = "MemoryHigh", 2.0;
    }
}
