//! [`KvpQuery`], [`KvpSource`].

document! {
    /// Asks for values that host and guest exchange.
    KvpQuery {
        /// Which of the stores.
        source: KvpSource = "Source", 2.5;
        /// Which keys.
        keys: Vec<String> = "Keys", 2.5;
    }
}

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
