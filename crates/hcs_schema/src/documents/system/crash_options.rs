//! [`CrashOptions`], [`CrashType`].

document! {
    /// How to crash a virtual machine. Read by `HcsCrashComputeSystem`.
    CrashOptions {
        /// The part to crash.
        r#type: CrashType = "Type", 2.3;
    }
}

schema_enum! {
    /// The part to crash.
    CrashType {
        /// The guest.
        CrashGuest = "CrashGuest", 2.3;
    }
}
