//! [`Plan9`].

use crate::documents::Plan9Share;

document! {
    /// Host directories that a virtual machine sees by 9P.
    Plan9 {
        /// The directories.
        shares: Vec<Plan9Share> = "Shares", 2.1;
    }
}
