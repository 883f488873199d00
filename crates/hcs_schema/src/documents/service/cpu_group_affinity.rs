//! [`CpuGroupAffinity`].

document! {
    /// Host processors of a group.
    CpuGroupAffinity {
        /// How many.
        logical_processor_count: u32 = "LogicalProcessorCount", 2.1;
        /// Which, by index.
        logical_processors: Vec<u32> = "LogicalProcessors", 2.1;
    }
}
