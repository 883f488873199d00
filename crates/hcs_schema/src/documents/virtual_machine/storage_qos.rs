//! [`StorageQoS`].

document! {
    /// Limits on the input and output of a volume.
    StorageQoS {
        /// Most operations in a second.
        iops_maximum: u64 = "IopsMaximum", 2.0;
        /// Most bytes in a second.
        bandwidth_maximum: u64 = "BandwidthMaximum", 2.0;
    }
}
