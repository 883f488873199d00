//! [`RegistryChanges`].

use crate::documents::{RegistryKey, RegistryValue};

document! {
    /// Changes to a Windows registry before the start.
    RegistryChanges {
        /// Values to set.
        add_values: Vec<RegistryValue> = "AddValues", 2.0;
        /// Keys to remove.
        delete_keys: Vec<RegistryKey> = "DeleteKeys", 2.0;
    }
}
