//! [`IdleProcessorsRequest`].

document! {
    /// Sets how many host processors stay idle.
    IdleProcessorsRequest {
        /// How many.
        idle_processor_count: u32 = "IdleProcessorCount", 2.3;
    }
}
