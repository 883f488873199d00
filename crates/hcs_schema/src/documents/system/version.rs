//! [`Version`].

document! {
    /// A version of the schema.
    Version {
        /// Versions that differ here have nothing to do with each other.
        major: u32 = "Major", 2.0;
        /// A higher one has all that a lower one has.
        minor: u32 = "Minor", 2.0;
    }
}
