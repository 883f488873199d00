//! [`ArchiveOperation`].

schema_enum! {
    /// Which way files go (our extension).
    ArchiveOperation {
        /// From the compute system: the archive comes from standard output.
        Pack = "Pack", "extension";
        /// Into the compute system: the archive is read from standard input.
        Unpack = "Unpack", "extension";
    }
}
