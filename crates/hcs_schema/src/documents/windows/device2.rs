//! [`Device2`], `Device_2` in the schema.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{documents::Version, shape::format::Guid};

document! {
    /// The saved state of a virtual device. Dropped from the schema.
    Device2 = "Device_2" {
        /// Version of the state.
        version: Version = "Version", 2.1 until 2.3;
        /// The kind of device.
        r#type: String as Guid = "Type", 2.1 until 2.3;
        /// Its states.
        states: BTreeMap<String, Value> = "States", 2.1 until 2.3;
    }
}
