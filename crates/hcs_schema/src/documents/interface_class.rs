//! [`InterfaceClass`].

use crate::{documents::InterfaceClassType, shape::format::Guid};

document! {
    /// Interfaces of devices.
    InterfaceClass {
        /// How the identifier names them.
        r#type: InterfaceClassType = "type", 2.3;
        /// Which.
        identifier: String as Guid = "identifier", 2.3;
        /// Whether devices below are included.
        recurse: bool = "recurse", 2.3;
    }
}
