//! [`OperationSystemMigrationNotificationInfo`].

use serde_json::Value;

use crate::documents::{MigrationEvent, MigrationOrigin, MigrationResult};

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
