//! [`State`].

schema_enum! {
    /// The state of a compute system.
    State {
        /// It has been made and not started.
        Created = "Created", 2.1;
        /// It runs.
        Running = "Running", 2.1;
        /// It is held.
        Paused = "Paused", 2.1;
        /// It has ended.
        Stopped = "Stopped", 2.1;
        /// It has been saved for others to be cloned from.
        SavedAsTemplate = "SavedAsTemplate", 2.1;
        /// The state is not known.
        Unknown = "Unknown", 2.1;
    }
}
