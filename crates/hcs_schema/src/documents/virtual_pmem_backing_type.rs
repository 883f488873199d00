//! [`VirtualPMemBackingType`].

schema_enum! {
    /// What persistent memory is backed by.
    VirtualPMemBackingType {
        /// Memory that may be swapped.
        Virtual = "Virtual", 2.1;
        /// Memory that is held.
        Physical = "Physical", 2.1;
    }
}
