//! [`VirtualNodeInfo`].

document! {
    /// A NUMA node of a virtual machine.
    VirtualNodeInfo {
        /// Its number in the guest.
        virtual_node_index: u8 = "VirtualNodeIndex", 2.1;
        /// The host's node behind it.
        physical_node_number: u8 = "PhysicalNodeNumber", 2.1;
        /// How many processors.
        virtual_processor_count: u32 = "VirtualProcessorCount", 2.1;
        /// Memory in use, in pages of 4 KiB.
        memory_usage_in_pages: u64 = "MemoryUsageInPages", 2.1;
    }
}
