//! [`ContainerMemory`], `Container_Memory` in the schema.

document! {
    /// How much memory a container may use.
    ContainerMemory = "Container_Memory", checked by crate::rules::system::memory {
        /// The limit in megabytes (2^20 bytes).
        size_in_mb: u64 = "SizeInMB", 2.1;
    }
}
