//! [`CrashType`].

schema_enum! {
    /// The part to crash.
    CrashType {
        /// The guest.
        CrashGuest = "CrashGuest", 2.3;
    }
}
