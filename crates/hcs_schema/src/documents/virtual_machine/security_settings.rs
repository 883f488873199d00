//! [`SecuritySettings`].

use crate::documents::IsolationSettings;

document! {
    /// Protection of a guest, also from its host.
    SecuritySettings {
        /// Whether it has a trusted platform module.
        enable_tpm: bool = "EnableTpm", 2.7;
        /// How it is kept from its host.
        isolation: IsolationSettings = "Isolation", 2.7;
    }
}
