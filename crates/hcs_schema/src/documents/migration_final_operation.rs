//! [`MigrationFinalOperation`].

schema_enum! {
    /// The state of a machine after a move.
    MigrationFinalOperation {
        /// It goes on.
        Resume = "Resume", 2.8;
        /// It ends.
        Stop = "Stop", 2.8;
    }
}
