//! [`MemoryStats`].

document! {
    /// Memory that a container uses, in bytes.
    MemoryStats {
        /// Now, with the memory that the kernel keeps for it.
        memory_usage_commit_bytes: u64 = "MemoryUsageCommitBytes", 2.1;
        /// The most so far.
        memory_usage_commit_peak_bytes: u64 = "MemoryUsageCommitPeakBytes", 2.1;
        /// Now, without the memory that could be given back at once.
        memory_usage_private_working_set_bytes: u64 = "MemoryUsagePrivateWorkingSetBytes", 2.1;
    }
}
