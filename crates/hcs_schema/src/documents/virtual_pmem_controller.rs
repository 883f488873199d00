//! [`VirtualPMemController`].

use std::collections::BTreeMap;

use crate::documents::{VirtualPMemBackingType, VirtualPMemDevice};

document! {
    /// Persistent memory of a virtual machine.
    VirtualPMemController {
        /// The devices, by number.
        devices: BTreeMap<String, VirtualPMemDevice> = "Devices", 2.0;
        /// How many devices there is room for.
        maximum_count: u8 = "MaximumCount", 2.0;
        /// Largest device that may be added, in bytes.
        maximum_size_bytes: u64 = "MaximumSizeBytes", 2.0;
        /// The kind of its backing.
        backing: VirtualPMemBackingType = "Backing", 2.1;
    }
}
