//! [`RegistryHive`].

schema_enum! {
    /// A part of a Windows registry.
    RegistryHive {
        /// The system.
        System = "System", 2.0 until 2.4;
        /// Programs.
        Software = "Software", 2.0 until 2.4;
        /// Rights.
        Security = "Security", 2.0 until 2.4;
        /// Users.
        Sam = "Sam", 2.0 until 2.4;
    }
}
