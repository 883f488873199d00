//! [`ProcessorFeatureSet`], [`ProcessorFeatureSetMode`].

document! {
    /// Processor features a guest is to see.
    ProcessorFeatureSet {
        /// Features, by name.
        processor_features: Vec<String> = "ProcessorFeatures", 2.5;
        /// Features with saved registers, by name.
        xsave_processor_features: Vec<String> = "XsaveProcessorFeatures", 2.5;
        /// The behaviour when the host lacks one.
        processor_feature_set_mode: ProcessorFeatureSetMode = "ProcessorFeatureSetMode", 2.5;
    }
}

schema_enum! {
    /// The behaviour when a host lacks a processor feature.
    ProcessorFeatureSetMode {
        /// The machine is refused.
        Strict = "Strict", 2.5;
        /// The feature is left out.
        Permissive = "Permissive", 2.5;
    }
}
