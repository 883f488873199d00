//! [`KernelIntegration`].

document! {
    /// Kernel services of a virtual machine. Dropped from the schema.
    KernelIntegration {}
}
