//! [`MemoryBackingPageSize`].

schema_enum! {
    /// Size of pages.
    MemoryBackingPageSize {
        /// 4 KiB.
        Small = "Small", 2.2;
        /// 2 MiB.
        Large = "Large", 2.2;
    }
}
