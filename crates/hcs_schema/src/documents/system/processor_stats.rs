//! [`ProcessorStats`].

document! {
    /// Processor time that a container has used, in 100 ns.
    ProcessorStats {
        /// All of it.
        total_runtime100ns: u64 = "TotalRuntime100ns", 2.1;
        /// In user mode.
        runtime_user100ns: u64 = "RuntimeUser100ns", 2.1;
        /// In the kernel.
        runtime_kernel100ns: u64 = "RuntimeKernel100ns", 2.1;
    }
}
