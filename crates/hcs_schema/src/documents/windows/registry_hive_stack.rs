//! [`RegistryHiveStack`].

use crate::documents::{RegistryDeleteKey, RegistryLayer, RegistryMakeKey};

document! {
    /// A hive of a Windows container's registry, made of layers.
    RegistryHiveStack {
        /// The hive.
        hive: String = "hive", 2.3;
        /// The layers.
        layer: Vec<RegistryLayer> = "layer", 2.3;
        /// Keys to make.
        mkkey: Vec<RegistryMakeKey> = "mkkey", 2.3;
        /// Keys to remove.
        delkey: Vec<RegistryDeleteKey> = "delkey", 2.3;
    }
}
