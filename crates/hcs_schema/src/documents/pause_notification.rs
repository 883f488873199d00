//! [`PauseNotification`].

use crate::documents::PauseReason;

document! {
    /// The message to the guest of a system that is paused.
    PauseNotification {
        /// Why it is paused.
        reason: PauseReason = "Reason", 2.1;
    }
}
