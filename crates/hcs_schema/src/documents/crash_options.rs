//! [`CrashOptions`].

use crate::documents::CrashType;

document! {
    /// How to crash a virtual machine. Read by `HcsCrashComputeSystem`.
    CrashOptions {
        /// The part to crash.
        r#type: CrashType = "Type", 2.3;
    }
}
