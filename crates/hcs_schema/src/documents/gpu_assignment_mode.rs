//! [`GpuAssignmentMode`].

schema_enum! {
    /// How graphics processors are chosen.
    GpuAssignmentMode {
        /// None.
        Disabled = "Disabled", 2.0;
        /// The host's default one.
        Default = "Default", 2.0;
        /// Those that are listed.
        List = "List", 2.0;
        /// All of the host's.
        Mirror = "Mirror", 2.0;
    }
}
