//! [`MigrationOrigin`].

schema_enum! {
    /// A side of a move.
    MigrationOrigin {
        /// The host it leaves.
        Source = "Source", 2.8;
        /// The host it comes to.
        Destination = "Destination", 2.8;
    }
}
