//! [`VideoMonitor`].

use crate::documents::RdpConnectionOptions;

document! {
    /// A screen of a virtual machine.
    VideoMonitor {
        /// Width in pixels.
        horizontal_resolution: u16 = "HorizontalResolution", 2.1;
        /// Height in pixels.
        vertical_resolution: u16 = "VerticalResolution", 2.1;
        /// The users who may connect, and the pipe for that.
        connection_options: RdpConnectionOptions = "ConnectionOptions", 2.1;
    }
}
