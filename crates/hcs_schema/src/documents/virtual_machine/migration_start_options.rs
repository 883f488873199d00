//! [`MigrationStartOptions`].

use crate::documents::MigrationNetworkSettings;

document! {
    /// How a move begins. Read by `HcsStartLiveMigrationOnSource`.
    MigrationStartOptions {
        /// The connection between the hosts.
        network_settings: MigrationNetworkSettings = "NetworkSettings", 2.8;
    }
}
