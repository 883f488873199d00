//! [`FilesystemIsolationMode`].

schema_enum! {
    /// How strictly a Windows container's files are kept apart.
    FilesystemIsolationMode {
        /// Nothing of the host is seen.
        Hard = "hard", 2.3;
        /// The host's files show through.
        Soft = "soft", 2.3;
    }
}
