//! [`RegistrySymlink`].

document! {
    /// A link in a Windows container's registry.
    RegistrySymlink {
        /// The key that is a link.
        key: String = "key", 2.3;
        /// Where it leads.
        target: String = "target", 2.3;
    }
}
