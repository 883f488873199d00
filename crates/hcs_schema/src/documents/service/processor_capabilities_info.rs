//! [`ProcessorCapabilitiesInfo`], [`NonArchitecturalCoreSharing`].

document! {
    /// What the processors of the host can do.
    ProcessorCapabilitiesInfo {
        /// Features, by name.
        processor_features: Vec<String> = "ProcessorFeatures", 2.5;
        /// Features with saved registers, by name.
        xsave_processor_features: Vec<String> = "XsaveProcessorFeatures", 2.5;
        /// What one flush of a line of the cache writes, in bytes.
        cache_line_flush_size: u64 = "CacheLineFlushSize", 2.5;
        /// How wide physical addresses are.
        implemented_physical_address_bits: u64 = "ImplementedPhysicalAddressBits", 2.5;
        /// Whether processors of one guest may share a core with others without its knowing.
        non_architectural_core_sharing: NonArchitecturalCoreSharing = "NonArchitecturalCoreSharing", 2.5;
    }
}

schema_enum! {
    /// Whether processors share cores in ways that their topology does not show.
    NonArchitecturalCoreSharing {
        /// It is not known.
        Unreported = "Unreported", 2.5;
        /// They do not.
        Off = "Off", 2.5;
        /// They do.
        On = "On", 2.5;
    }
}
