//! [`MigrationMemoryTransport`].

schema_enum! {
    /// How memory is sent between hosts.
    MigrationMemoryTransport {
        /// Over a TCP connection.
        Tcp = "TCP", 2.8;
    }
}
