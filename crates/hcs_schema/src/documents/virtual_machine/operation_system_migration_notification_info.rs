//! [`OperationSystemMigrationNotificationInfo`], [`MigrationEvent`], [`MigrationResult`].

use serde_json::Value;

use crate::documents::MigrationOrigin;

document! {
    /// How a move is going. Comes with the live-migration events.
    OperationSystemMigrationNotificationInfo {
        /// Which side this is.
        origin: MigrationOrigin = "Origin", 2.8;
        /// The event.
        event: MigrationEvent = "Event", 2.8;
        /// How it ended.
        result: MigrationResult = "Result", 2.8;
        /// More about the event.
        additional_details: Value = "AdditionalDetails", 2.8;
    }
}

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
