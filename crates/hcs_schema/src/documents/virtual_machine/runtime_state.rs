//! [`RuntimeState`].

use std::collections::BTreeMap;

use crate::documents::{Device2, Version};

document! {
    /// The saved state of a virtual machine. Dropped from the schema.
    RuntimeState {
        /// Version of the state.
        version: Version = "Version", 2.1 until 2.3;
        /// States by device.
        devices: BTreeMap<String, Device2> = "Devices", 2.1 until 2.3;
    }
}
