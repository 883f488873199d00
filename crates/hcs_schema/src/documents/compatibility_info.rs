//! [`CompatibilityInfo`].

use crate::shape::format::Base64;

document! {
    /// What a host must be able to do for a machine.
    CompatibilityInfo {
        /// The facts, in a form of the host's own.
        data: String as Base64 = "Data", 2.8;
    }
}
