//! [`OsType`].

schema_enum! {
    /// An operating system.
    OsType {
        /// Not known.
        Unspecified = "", 2.1 until 2.4;
        /// Windows.
        Windows = "Windows", 2.1 until 2.4;
        /// Linux.
        Linux = "Linux", 2.1 until 2.4;
    }
}
