//! [`MigrationEvent`].

schema_enum! {
    /// An event in a move.
    MigrationEvent {
        /// The event is not known.
        Unknown = "Unknown", 2.8;
        /// The move is done.
        MigrationDone = "MigrationDone", 2.8;
        /// The guest stands still.
        BlackoutStarted = "BlackoutStarted", 2.8;
        /// The machine is off on this side.
        OfflineDone = "OfflineDone", 2.8;
        /// The guest goes on.
        BlackoutExited = "BlackoutExited", 2.8;
        /// All is ready.
        SetupDone = "SetupDone", 2.8;
        /// Memory is on its way.
        TransferInProgress = "TransferInProgress", 2.8;
        /// The machine is back where it was.
        MigrationRecoveryDone = "MigrationRecoveryDone", 2.8;
        /// The move failed.
        MigrationFailed = "MigrationFailed", 2.8;
    }
}
