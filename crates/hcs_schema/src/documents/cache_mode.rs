//! [`CacheMode`].

schema_enum! {
    /// How a layer is cached in a virtual machine.
    CacheMode {
        /// The default.
        Unspecified = "", 2.1;
        /// Not at all.
        Disabled = "Disabled", 2.0;
        /// In memory that all partitions of the host share.
        Enabled = "Enabled", 2.0;
        /// In memory of the one partition.
        Private = "Private", 2.0;
        /// In memory of the one partition, which others may read.
        PrivateAllowSharing = "PrivateAllowSharing", 2.0;
    }
}
