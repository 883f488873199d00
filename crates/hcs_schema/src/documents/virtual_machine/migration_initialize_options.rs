//! [`MigrationInitializeOptions`], [`MigrationMemoryTransport`].

use crate::documents::{
    CompatibilityInfo, MemoryMigrationTransferThrottleParams, MigrationCompressionSettings,
    MigrationOrigin,
};

document! {
    /// How a virtual machine is moved to another host. Read by `HcsInitializeLiveMigrationOnSource`.
    MigrationInitializeOptions {
        /// Which side this is.
        origin: MigrationOrigin = "Origin", 2.8;
        /// How memory is sent.
        memory_transport: MigrationMemoryTransport = "MemoryTransport", 2.8;
        /// How the guest is slowed down so that sending keeps up.
        memory_transfer_throttle_params: MemoryMigrationTransferThrottleParams = "MemoryTransferThrottleParams", 2.8;
        /// How memory is compressed.
        compression_settings: MigrationCompressionSettings = "CompressionSettings", 2.8;
        /// Whether memory is checked by sums.
        checksum_verification: bool = "ChecksumVerification", 2.8;
        /// Whether it is traced.
        perf_tracing_enabled: bool = "PerfTracingEnabled", 2.8;
        /// Whether it is given up when the guest would stand still for too long.
        cancel_if_blackout_threshold_exceeds: bool = "CancelIfBlackoutThresholdExceeds", 2.8;
        /// Whether more time is allowed, as between different versions.
        prepare_memory_transfer_mode: bool = "PrepareMemoryTransferMode", 2.8;
        /// The abilities that the other host must have.
        compatibility_data: CompatibilityInfo = "CompatibilityData", 2.8;
    }
}

schema_enum! {
    /// How memory is sent between hosts.
    MigrationMemoryTransport {
        /// Over a TCP connection.
        Tcp = "TCP", 2.8;
    }
}
