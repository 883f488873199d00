//! [`MemoryInformationForVm`].

use crate::documents::{VirtualNodeInfo, VmMemory};

document! {
    /// Memory of a virtual machine. Answers the property `Memory`.
    MemoryInformationForVm {
        /// How many NUMA nodes it sees.
        virtual_node_count: u8 = "VirtualNodeCount", 2.1;
        /// The whole.
        virtual_machine_memory: VmMemory = "VirtualMachineMemory", 2.1;
        /// By node.
        virtual_nodes: Vec<VirtualNodeInfo> = "VirtualNodes", 2.1;
    }
}
