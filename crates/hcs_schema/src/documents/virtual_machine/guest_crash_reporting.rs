//! [`GuestCrashReporting`].

use crate::documents::WindowsCrashReporting;

document! {
    /// The actions when the guest of a virtual machine crashes.
    GuestCrashReporting {
        /// Where a Windows guest's dump goes.
        windows_crash_settings: WindowsCrashReporting = "WindowsCrashSettings", 2.0;
    }
}
