//! [`VirtualPMemController`], [`VirtualPMemBackingType`].

use std::collections::BTreeMap;

use crate::documents::VirtualPMemDevice;

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

schema_enum! {
    /// The backing of persistent memory.
    VirtualPMemBackingType {
        /// Memory that may be swapped.
        Virtual = "Virtual", 2.1;
        /// Memory that is held.
        Physical = "Physical", 2.1;
    }
}
