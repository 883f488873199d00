//! [`RegistryDeleteKey`].

document! {
    /// A key to remove from a Windows container's registry.
    RegistryDeleteKey {
        /// The key.
        name: String = "name", 2.3;
    }
}
