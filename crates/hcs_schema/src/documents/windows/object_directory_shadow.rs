//! [`ObjectDirectoryShadow`].

schema_enum! {
    /// Whether a directory shows the host's through.
    ObjectDirectoryShadow {
        /// No.
        False = "false", 2.3;
        /// Yes.
        True = "true", 2.3;
        /// Where the host has one.
        IfExists = "ifexists", 2.3;
    }
}
