//! [`WindowsCrashPhase`].

schema_enum! {
    /// How far a Windows dump came.
    WindowsCrashPhase {
        /// It was not begun.
        Inactive = "Inactive", 2.1;
        /// The stop code is known.
        CrashValues = "CrashValues", 2.1;
        /// It is about to begin.
        Starting = "Starting", 2.1;
        /// It began.
        Started = "Started", 2.1;
        /// It is being written.
        Writing = "Writing", 2.1;
        /// It is done.
        Complete = "Complete", 2.1;
    }
}
