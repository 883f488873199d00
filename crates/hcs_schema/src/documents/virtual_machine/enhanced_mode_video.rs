//! [`EnhancedModeVideo`].

use crate::documents::RdpConnectionOptions;

document! {
    /// A screen of a virtual machine by remote desktop.
    EnhancedModeVideo {
        /// The users who may connect, and the pipe for that.
        connection_options: RdpConnectionOptions = "ConnectionOptions", 2.1;
    }
}
