//! [`CreateGroupOperation`].

use crate::shape::format::Guid;

document! {
    /// Makes a group of host processors.
    CreateGroupOperation {
        /// Its id.
        group_id: String as Guid = "GroupId", 2.1;
        /// How many processors.
        logical_processor_count: u32 = "LogicalProcessorCount", 2.1;
        /// Which, by index.
        logical_processors: Vec<u32> = "LogicalProcessors", 2.1;
    }
}
