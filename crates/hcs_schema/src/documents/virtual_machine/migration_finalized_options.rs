//! [`MigrationFinalizedOptions`], [`MigrationFinalOperation`].

use crate::documents::MigrationOrigin;

document! {
    /// How a move ends. Read by `HcsFinalizeLiveMigration`.
    MigrationFinalizedOptions {
        /// Which side this is.
        origin: MigrationOrigin = "Origin", 2.8;
        /// The state of the machine on this side afterwards.
        finalized_operation: MigrationFinalOperation = "FinalizedOperation", 2.8;
    }
}

schema_enum! {
    /// The state of a machine after a move.
    MigrationFinalOperation {
        /// It goes on.
        Resume = "Resume", 2.8;
        /// It ends.
        Stop = "Stop", 2.8;
    }
}
