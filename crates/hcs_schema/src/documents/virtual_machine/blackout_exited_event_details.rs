//! [`BlackoutExitedEventDetails`].

use crate::shape::format::DateTime;

document! {
    /// How long a guest that moved stood still.
    BlackoutExitedEventDetails {
        /// How long.
        blackout_duration_milliseconds: u64 = "BlackoutDurationMilliseconds", 2.8;
        /// When it went on.
        blackout_stop_timestamp: String as DateTime = "BlackoutStopTimestamp", 2.8;
    }
}
