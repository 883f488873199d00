//! [`VirtualMachineMemory`], `VirtualMachine_Memory` in the schema.

use crate::documents::MemoryBackingType;

document! {
    /// Memory of a virtual machine.
    VirtualMachineMemory = "VirtualMachine_Memory" {
        /// How much, in megabytes (2^20 bytes).
        size_in_mb: u64 = "SizeInMB", 2.1;
        /// Whether it may be swapped out; else it is held from the start.
        allow_overcommit: bool = "AllowOvercommit", 2.1;
        /// Size of the host's pages behind it.
        backing_page_size: MemoryBackingPageSize = "BackingPageSize", 2.2;
        /// How much is faulted in at once, as a power of two of pages.
        fault_cluster_size_shift: u32 = "FaultClusterSizeShift", 2.3;
        /// The same for memory mapped from files.
        direct_map_fault_cluster_size_shift: u32 = "DirectMapFaultClusterSizeShift", 2.3;
        /// Whether a page stays once it was touched.
        pin_backing_pages: bool = "PinBackingPages", 2.2;
        /// Whether large pages are never split unless memory is nearly gone.
        forbid_small_backing_pages: bool = "ForbidSmallBackingPages", 2.2;
        /// Whether the guest may announce the memory that it will need soon.
        enable_hot_hint: bool = "EnableHotHint", 2.0;
        /// Whether the guest may give back pages of zeros.
        enable_cold_hint: bool = "EnableColdHint", 2.0;
        /// Whether the guest may give back pages that it does not need.
        enable_cold_discard_hint: bool = "EnableColdDiscardHint", 2.2;
        /// Whether memory counts as used only once touched.
        enable_deferred_commit: bool = "EnableDeferredCommit", 2.1;
        /// Room for devices below 4 GiB, in megabytes.
        low_mmio_gap_in_mb: u64 = "LowMmioGapInMB", 2.3;
        /// Start of the room for devices above 4 GiB, in megabytes.
        high_mmio_base_in_mb: u64 = "HighMmioBaseInMB", 2.3;
        /// Room for devices above 4 GiB, in megabytes.
        high_mmio_gap_in_mb: u64 = "HighMmioGapInMB", 2.3;
        /// The kind of its backing.
        backing: MemoryBackingType = "Backing", 2.7;
        /// How the distances between NUMA nodes are told to the guest.
        slit_type: VirtualSlitType = "SlitType", 2.7;
        /// Suffix to the name of the host process that holds it.
        hosting_process_name_suffix: String = "HostingProcessNameSuffix", 2.7;
    }
}

schema_enum! {
    /// Size of pages.
    MemoryBackingPageSize {
        /// 4 KiB.
        Small = "Small", 2.2;
        /// 2 MiB.
        Large = "Large", 2.2;
    }
}

schema_enum! {
    /// How the distances between NUMA nodes are told to a guest.
    VirtualSlitType {
        /// Not at all.
        None = "None", 2.7;
        /// As the host's firmware says.
        Firmware = "Firmware", 2.7;
        /// As measured.
        Measured = "Measured", 2.7;
        /// As the host's firmware says, else as measured.
        FirmwareFallbackMeasured = "FirmwareFallbackMeasured", 2.7;
    }
}
