//! [`RegistryKey`], [`RegistryHive`].

document! {
    /// A key of a Windows registry.
    RegistryKey {
        /// The hive it is in.
        hive: RegistryHive = "Hive", 2.0;
        /// Its path in the hive.
        name: String = "Name", 2.0;
        /// Whether it vanishes at shutdown.
        volatile: bool = "Volatile", 2.0;
    }
}

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
