//! [`CrashType`].

schema_enum! {
    /// What to crash.
    CrashType {
        /// The guest.
        CrashGuest = "CrashGuest", 2.3;
    }
}
