//! [`JobMemory`].

document! {
    /// Memory limit of a Windows container in its low-level form.
    JobMemory {
        /// Most bytes.
        limit: u64 = "limit", 2.3;
    }
}
