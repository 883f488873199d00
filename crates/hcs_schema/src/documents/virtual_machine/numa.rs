//! [`Numa`].

use crate::documents::NumaSetting;

document! {
    /// How memory and processors of a virtual machine are spread over NUMA nodes.
    Numa {
        /// How many nodes the guest sees.
        virtual_node_count: u8 = "VirtualNodeCount", 2.7;
        /// The host's nodes to take.
        preferred_physical_nodes: Vec<i64> = "PreferredPhysicalNodes", 2.7;
        /// The nodes one by one.
        settings: Vec<NumaSetting> = "Settings", 2.7;
        /// Most memory in a node, in megabytes.
        max_size_per_node: u64 = "MaxSizePerNode", 2.7;
    }
}
