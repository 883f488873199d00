//! [`ProcessorTopology`].

use crate::documents::LogicalProcessor;

document! {
    /// The processors of the host.
    ProcessorTopology {
        /// How many.
        logical_processor_count: u32 = "LogicalProcessorCount", 2.1;
        /// Each of them.
        logical_processors: Vec<LogicalProcessor> = "LogicalProcessors", 2.1;
    }
}
