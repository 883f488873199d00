//! [`ProcessorLimits`].

document! {
    /// Processor limits to set on a running virtual machine.
    ProcessorLimits {
        /// Most processor time, in ten-thousandths of its processors.
        limit: u64 = "Limit", 2.4;
        /// Weight against other machines.
        weight: u64 = "Weight", 2.4;
        /// Processor time that is kept for it, in ten-thousandths.
        reservation: u64 = "Reservation", 2.4;
        /// Highest frequency, in MHz.
        maximum_frequency_mhz: u32 = "MaximumFrequencyMHz", 2.4;
    }
}
