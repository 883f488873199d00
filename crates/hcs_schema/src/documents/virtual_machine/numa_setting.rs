//! [`NumaSetting`].

use crate::documents::MemoryBackingType;

document! {
    /// One NUMA node of a virtual machine.
    NumaSetting {
        /// Its number in the guest.
        virtual_node_number: u32 = "VirtualNodeNumber", 2.7;
        /// The host's node behind it.
        physical_node_number: u32 = "PhysicalNodeNumber", 2.7;
        /// The socket it is in.
        virtual_socket_number: u32 = "VirtualSocketNumber", 2.7;
        /// How many processors.
        count_of_processors: u32 = "CountOfProcessors", 2.7;
        /// How much memory, in megabytes.
        count_of_memory_blocks: u64 = "CountOfMemoryBlocks", 2.7;
        /// The kind of memory backing.
        memory_backing_type: MemoryBackingType = "MemoryBackingType", 2.7;
    }
}
