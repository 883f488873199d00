//! [`GuestCrashSaveInfo`].

document! {
    /// What was kept of a guest that crashed.
    GuestCrashSaveInfo {
        /// The file of the host that has its memory: that which `BugcheckSavedStateFileName` of its document names.
        save_state_file: String = "SaveStateFile", "extension";
    }
}
