//! [`RegistryMakeKey`].

use crate::documents::RegistryMakeValue;

document! {
    /// A key to make in a Windows container's registry.
    RegistryMakeKey {
        /// Its name.
        name: String = "name", 2.3;
        /// The key whose rights it copies.
        clonesd: String = "clonesd", 2.3;
        /// Keys below.
        mkkey: Vec<RegistryMakeKey> = "mkkey", 2.3;
        /// Its values.
        mkvalue: Vec<RegistryMakeValue> = "mkvalue", 2.3;
        /// Whether it vanishes at shutdown.
        volatile: bool = "volatile", 2.3;
    }
}
