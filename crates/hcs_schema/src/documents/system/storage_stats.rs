//! [`StorageStats`].

document! {
    /// Input and output of a container.
    StorageStats {
        /// Reads, in units of 8 KiB.
        read_count_normalized: u64 = "ReadCountNormalized", 2.1;
        /// Bytes read.
        read_size_bytes: u64 = "ReadSizeBytes", 2.1;
        /// Writes, in units of 8 KiB.
        write_count_normalized: u64 = "WriteCountNormalized", 2.1;
        /// Bytes written.
        write_size_bytes: u64 = "WriteSizeBytes", 2.1;
    }
}
