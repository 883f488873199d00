//! [`PauseNotification`].

use crate::documents::PauseReason;

document! {
    /// What those inside a system that is paused are told.
    PauseNotification {
        /// Why it is paused.
        reason: PauseReason = "Reason", 2.1;
    }
}
