//! [`CloseHandle`].

use crate::documents::StdHandle;

document! {
    /// The stream of a process to close.
    CloseHandle {
        /// Which one.
        handle: StdHandle = "Handle", 2.0;
    }
}
