//! [`SharedMemoryConfiguration`].

use crate::documents::SharedMemoryRegion;

document! {
    /// Memory that a virtual machine shares with its host.
    SharedMemoryConfiguration {
        /// The regions.
        regions: Vec<SharedMemoryRegion> = "Regions", 2.1;
    }
}
