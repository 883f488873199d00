//! [`TimeZoneInformation`].

use crate::documents::SystemTime;

document! {
    /// A time zone.
    TimeZoneInformation {
        /// Minutes from local time to UTC.
        bias: i32 = "Bias", 2.1;
        /// Name of the standard time.
        standard_name: String = "StandardName", 2.1;
        /// When standard time begins.
        standard_date: SystemTime = "StandardDate", 2.1;
        /// Minutes more during standard time.
        standard_bias: i32 = "StandardBias", 2.1;
        /// Name of the daylight saving time.
        daylight_name: String = "DaylightName", 2.1;
        /// When daylight saving time begins.
        daylight_date: SystemTime = "DaylightDate", 2.1;
        /// Minutes more during daylight saving time.
        daylight_bias: i32 = "DaylightBias", 2.1;
    }
}
