//! [`RegistryHive`].

schema_enum! {
    /// A part of a Windows registry.
    RegistryHive {
        /// The system.
        System = "System", 2.0;
        /// Programs.
        Software = "Software", 2.0;
        /// Rights.
        Security = "Security", 2.0;
        /// Users.
        Sam = "Sam", 2.0;
    }
}
