//! [`MigrationCompressionSettings`].

document! {
    /// How memory is compressed.
    MigrationCompressionSettings {
        /// By how many threads.
        throttle_worker_count: u32 = "ThrottleWorkerCount", 2.8;
    }
}
