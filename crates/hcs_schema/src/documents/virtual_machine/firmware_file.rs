//! [`FirmwareFile`].

use crate::shape::format::Base64;

document! {
    /// Firmware of a client's own.
    FirmwareFile {
        /// Settings for it.
        parameters: String as Base64 = "Parameters", 2.7;
    }
}
