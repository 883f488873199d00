//! [`MemoryBackingType`].

schema_enum! {
    /// The backing of a virtual machine's memory.
    MemoryBackingType {
        /// Memory that is held.
        Physical = "Physical", 2.7;
        /// Memory that may be swapped.
        Virtual = "Virtual", 2.7;
        /// Some of both.
        Hybrid = "Hybrid", 2.7;
    }
}
