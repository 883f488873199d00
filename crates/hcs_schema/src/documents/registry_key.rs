//! [`RegistryKey`].

use crate::documents::RegistryHive;

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
