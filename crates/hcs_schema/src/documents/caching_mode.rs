//! [`CachingMode`].

schema_enum! {
    /// How the host caches a disk.
    CachingMode {
        /// Not at all.
        Uncached = "Uncached", 2.1;
        /// All files.
        Cached = "Cached", 2.1;
        /// Files that are only read.
        ReadOnlyCached = "ReadOnlyCached", 2.1;
    }
}
