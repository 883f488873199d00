//! [`Topology`].

use crate::documents::{Numa, VirtualMachineMemory, VirtualMachineProcessor};

document! {
    /// Memory and processors of a virtual machine.
    Topology {
        /// The memory.
        memory: VirtualMachineMemory = "Memory", 2.0;
        /// The processors.
        processor: VirtualMachineProcessor = "Processor", 2.0;
        /// How both are spread over NUMA nodes.
        numa: Numa = "Numa", 2.7;
    }
}
