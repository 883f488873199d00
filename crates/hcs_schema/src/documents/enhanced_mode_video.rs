//! [`EnhancedModeVideo`].

use crate::documents::RdpConnectionOptions;

document! {
    /// A screen of a virtual machine by remote desktop.
    EnhancedModeVideo {
        /// Who may connect, and where.
        connection_options: RdpConnectionOptions = "ConnectionOptions", 2.1;
    }
}
