//! [`CloseHandle`], [`StdHandle`].

document! {
    /// The stream of a process to close.
    CloseHandle {
        /// Which one.
        handle: StdHandle = "Handle", 2.0;
    }
}

schema_enum! {
    /// A standard stream of a process.
    StdHandle {
        /// Standard input.
        StdIn = "StdIn", 2.0;
        /// Standard output.
        StdOut = "StdOut", 2.0;
        /// Standard error.
        StdErr = "StdErr", 2.0;
        /// All three.
        All = "All", 2.1;
    }
}
