//! [`NumaRange`].

document! {
    /// A range of counts.
    NumaRange {
        /// The largest.
        max: u32 = "max", 2.7;
    }
}
