//! [`JobCpu`].

document! {
    /// Processor limits of a Windows container in its low-level form.
    JobCpu {
        /// Most time, in ten-thousandths.
        rate: u32 = "rate", 2.3;
        /// Weight against others.
        weight: u32 = "weight", 2.3;
    }
}
