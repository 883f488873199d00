//! [`KvpSource`].

schema_enum! {
    /// A store of keys and values.
    KvpSource {
        /// Set by the host.
        KvpSetByHost = "KvpSetByHost", 2.5;
        /// Set by the guest.
        KvpSetByGuest = "KvpSetByGuest", 2.5;
        /// The guest's description of itself.
        GuestOSInfo = "GuestOSInfo", 2.5;
    }
}
