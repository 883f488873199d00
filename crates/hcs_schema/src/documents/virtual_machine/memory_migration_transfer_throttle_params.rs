//! [`MemoryMigrationTransferThrottleParams`].

document! {
    /// How a guest that moves is slowed down.
    MemoryMigrationTransferThrottleParams {
        /// Whether it is not.
        skip_throttling: bool = "SkipThrottling", 2.8;
        /// By how much more each time, in percent.
        throttling_scale: f64 = "ThrottlingScale", 2.8;
        /// By how much at first, in percent.
        minimum_throttle_percentage: u8 = "MinimumThrottlePercentage", 2.8;
        /// How many passes are hoped for.
        target_number_of_brownout_transfer_passes: u32 = "TargetNumberOfBrownoutTransferPasses", 2.8;
        /// The pass to begin with.
        starting_brownout_pass_number_for_throttling: u32 = "StartingBrownoutPassNumberForThrottling", 2.8;
        /// The pass after which the guest is stopped.
        maximum_number_of_brownout_transfer_passes: u32 = "MaximumNumberOfBrownoutTransferPasses", 2.8;
        /// How long the guest may stand still, in milliseconds.
        target_blackout_transfer_time: u32 = "TargetBlackoutTransferTime", 2.8;
        /// How long it must not stand still, in milliseconds.
        blackout_time_threshold_for_cancelling_migration: u32 = "BlackoutTimeThresholdForCancellingMigration", 2.8;
    }
}
