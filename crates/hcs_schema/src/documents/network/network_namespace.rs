//! [`NetworkNamespace`].

document! {
    /// The network of a Windows container in its low-level form.
    NetworkNamespace {
        /// The compartment.
        compartment: String = "compartment", 2.3;
    }
}
