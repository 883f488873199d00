//! [`StateOverride`].

schema_enum! {
    /// A switch that may be left as it is.
    StateOverride {
        /// As it is.
        Default = "Default", 2.4;
        /// Off.
        Disabled = "Disabled", 2.4;
        /// On.
        Enabled = "Enabled", 2.4;
    }
}
