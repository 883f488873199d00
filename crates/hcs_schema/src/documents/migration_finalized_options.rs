//! [`MigrationFinalizedOptions`].

use crate::documents::{MigrationFinalOperation, MigrationOrigin};

document! {
    /// How a move ends. Read by `HcsFinalizeLiveMigration`.
    MigrationFinalizedOptions {
        /// Which side this is.
        origin: MigrationOrigin = "Origin", 2.8;
        /// The state of the machine on this side afterwards.
        finalized_operation: MigrationFinalOperation = "FinalizedOperation", 2.8;
    }
}
