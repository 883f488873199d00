//! [`KvpExchange`].

use std::collections::BTreeMap;

use crate::documents::StateOverride;

document! {
    /// Exchange of keys and values between host and guest.
    KvpExchange {
        /// Whether the guest is told of the host.
        enable_host_os_info_kvp_items: StateOverride = "EnableHostOSInfoKvpItems", 2.5;
        /// Keys to set.
        entries_to_be_added: BTreeMap<String, String> = "EntriesToBeAdded", 2.5;
        /// Keys to remove.
        entries_to_be_removed: Vec<String> = "EntriesToBeRemoved", 2.5;
    }
}
