//! [`GuestCrash`].

document! {
    /// A guest that crashed.
    GuestCrash {
        /// Numbers the guest gave.
        crash_parameters: Vec<u64> = "CrashParameters", 2.4;
    }
}
