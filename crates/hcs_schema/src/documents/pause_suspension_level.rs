//! [`PauseSuspensionLevel`].

schema_enum! {
    /// How much of a paused system goes on.
    PauseSuspensionLevel {
        /// Nothing.
        Suspend = "Suspend", 2.0;
        /// Nothing, and some of its memory is taken.
        MemoryLow = "MemoryLow", 2.0;
        /// Nothing, and much of its memory is taken.
        MemoryMedium = "MemoryMedium", 2.0;
        /// Nothing, and most of its memory is taken.
        MemoryHigh = "MemoryHigh", 2.0;
    }
}
