//! [`Statistics`].

use crate::{
    documents::{MemoryStats, NetworkStats, ProcessorStats, StorageStats},
    shape::format::DateTime,
};

document! {
    /// The use of resources by a container since its start.
    Statistics {
        /// When this was measured.
        timestamp: String as DateTime = "Timestamp", 2.1;
        /// When the container was started.
        container_start_time: String as DateTime = "ContainerStartTime", 2.1;
        /// How long it has run, in 100 ns.
        uptime100ns: u64 = "Uptime100ns", 2.1;
        /// Processor time.
        processor: ProcessorStats = "Processor", 2.1;
        /// Memory.
        memory: MemoryStats = "Memory", 2.1;
        /// Input and output.
        storage: StorageStats = "Storage", 2.1;
        /// What went through its endpoints, where it has some (our extension; version 1 of the schema has it).
        network: Vec<NetworkStats> = "Network", "extension";
    }
}
