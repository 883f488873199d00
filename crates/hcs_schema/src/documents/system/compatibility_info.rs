//! [`CompatibilityInfo`].

use crate::shape::format::Base64;

document! {
    /// The abilities that a host must have for a machine.
    CompatibilityInfo {
        /// The facts, in a form of the host's own.
        data: String as Base64 = "Data", 2.8;
    }
}
