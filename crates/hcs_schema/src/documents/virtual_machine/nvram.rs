//! [`Nvram`].

use std::collections::BTreeMap;

use crate::{documents::NvramVendor, shape::format::DateTime};

document! {
    /// The data that firmware stores. Dropped from the schema.
    Nvram {
        /// Variables by vendor.
        vendors: BTreeMap<String, NvramVendor> = "Vendors", 2.1 until 2.3;
        /// When they changed.
        last_update_time: String as DateTime = "LastUpdateTime", 2.1 until 2.3;
    }
}
