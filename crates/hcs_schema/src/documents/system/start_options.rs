//! [`StartOptions`].

use crate::documents::MigrationStartOptions;

document! {
    /// How to start a compute system. Read by `HcsStartComputeSystem`.
    StartOptions {
        /// How a machine that moves here receives its memory.
        destination_migration_options: MigrationStartOptions = "DestinationMigrationOptions", 2.8;
    }
}
