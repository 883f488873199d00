//! [`OsType`].

schema_enum! {
    /// An operating system.
    OsType {
        /// Not known.
        Unspecified = "", 2.1;
        /// Windows.
        Windows = "Windows", 2.1;
        /// Linux.
        Linux = "Linux", 2.1;
    }
}
