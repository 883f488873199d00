//! [`VirtualPMemBackingType`].

schema_enum! {
    /// The backing of persistent memory.
    VirtualPMemBackingType {
        /// Memory that may be swapped.
        Virtual = "Virtual", 2.1;
        /// Memory that is held.
        Physical = "Physical", 2.1;
    }
}
