//! [`VirtualPMemMapping`].

use crate::documents::VirtualPMemImageFormat;

document! {
    /// An image within a persistent memory device.
    VirtualPMemMapping {
        /// The disk image on the host.
        host_path: String = "HostPath", 2.2;
        /// Format of the image.
        image_format: VirtualPMemImageFormat = "ImageFormat", 2.2;
    }
}
