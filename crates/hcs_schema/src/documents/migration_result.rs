//! [`MigrationResult`].

schema_enum! {
    /// How a move ended.
    MigrationResult {
        /// It did not.
        Invalid = "Invalid", 2.8;
        /// Well.
        Success = "Success", 2.8;
        /// It was given up.
        MigrationCancelled = "MigrationCancelled", 2.8;
        /// The guest gave it up.
        GuestInitiatedCancellation = "GuestInitiatedCancellation", 2.8;
        /// It failed where the machine came from.
        SourceMigrationFailed = "SourceMigrationFailed", 2.8;
        /// It failed where the machine went to.
        DestinationMigrationFailed = "DestinationMigrationFailed", 2.8;
        /// It failed, and so did going back.
        MigrationRecoveryFailed = "MigrationRecoveryFailed", 2.8;
    }
}
