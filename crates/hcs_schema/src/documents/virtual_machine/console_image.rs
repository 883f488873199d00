//! [`ConsoleImage`].

use crate::shape::format::Base64;

document! {
    /// A picture of a virtual machine's screen.
    ConsoleImage {
        /// The picture.
        image: String as Base64 = "Image", 2.5;
    }
}
