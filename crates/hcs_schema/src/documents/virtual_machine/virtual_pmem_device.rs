//! [`VirtualPMemDevice`].

use std::collections::BTreeMap;

use crate::documents::{VirtualPMemImageFormat, VirtualPMemMapping};

document! {
    /// A persistent memory device.
    VirtualPMemDevice {
        /// The disk image on the host.
        host_path: String = "HostPath", 2.0;
        /// Whether the guest may only read it.
        read_only: bool = "ReadOnly", 2.0;
        /// Format of the image.
        image_format: VirtualPMemImageFormat = "ImageFormat", 2.0;
        /// Its size in bytes.
        size_bytes: u64 = "SizeBytes", 2.2;
        /// Images that share the device, by offset.
        mappings: BTreeMap<String, VirtualPMemMapping> = "Mappings", 2.2;
    }
}
