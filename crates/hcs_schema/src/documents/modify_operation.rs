//! [`ModifyOperation`].

schema_enum! {
    /// The changes that a running process allows.
    ModifyOperation {
        /// The size of its terminal.
        ConsoleSize = "ConsoleSize", 2.0;
        /// One of its streams is closed, as a client does to end its standard input.
        CloseHandle = "CloseHandle", 2.0;
    }
}
