//! [`VmMemory`].

document! {
    /// Memory of a virtual machine as the host manages it.
    VmMemory {
        /// Percent that is free.
        available_memory: i32 = "AvailableMemory", 2.1;
        /// Percent that is free of the memory that the guest likes to keep free.
        available_memory_buffer: i32 = "AvailableMemoryBuffer", 2.1;
        /// Memory kept for it, in pages of 4 KiB.
        reserved_memory: u64 = "ReservedMemory", 2.1;
        /// Memory it has, in pages of 4 KiB.
        assigned_memory: u64 = "AssignedMemory", 2.1;
        /// Whether the host swaps for it.
        slp_active: bool = "SlpActive", 2.1;
        /// Whether the host moves memory between machines.
        balancing_enabled: bool = "BalancingEnabled", 2.1;
        /// Whether it is doing so now.
        dm_operation_in_progress: bool = "DmOperationInProgress", 2.1;
    }
}
