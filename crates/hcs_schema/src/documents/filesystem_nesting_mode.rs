//! [`FilesystemNestingMode`].

schema_enum! {
    /// Where in a nest of containers one stands.
    FilesystemNestingMode {
        /// Inside another.
        Inner = "inner", 2.3;
        /// Outside of others.
        Outer = "outer", 2.3;
    }
}
