//! [`RegistryFlushState`].

document! {
    /// Whether a Windows container's registry is written to disk.
    RegistryFlushState {
        /// Whether it is.
        enabled: bool = "Enabled", 2.1;
    }
}
