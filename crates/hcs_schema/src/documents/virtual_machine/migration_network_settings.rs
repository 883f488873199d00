//! [`MigrationNetworkSettings`].

document! {
    /// The connection between two hosts.
    MigrationNetworkSettings {
        /// Its number.
        session_id: u32 = "SessionId", 2.8;
    }
}
