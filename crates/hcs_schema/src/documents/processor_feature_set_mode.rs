//! [`ProcessorFeatureSetMode`].

schema_enum! {
    /// The behaviour when a host lacks a processor feature.
    ProcessorFeatureSetMode {
        /// The machine is refused.
        Strict = "Strict", 2.5;
        /// The feature is left out.
        Permissive = "Permissive", 2.5;
    }
}
