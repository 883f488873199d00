//! [`OsLayerOptions`], [`OsLayerType`].

document! {
    /// How to set up an operating system layer. Read by `HcsSetupBaseOSLayer`.
    OsLayerOptions {
        /// Its purpose.
        r#type: OsLayerType = "Type", 2.1;
        /// Whether the cache of checked signatures is left out.
        disable_ci_cache_optimization: bool = "DisableCiCacheOptimization", 2.1;
        /// Whether the boot store stays as it is.
        skip_update_bcd_for_boot: bool = "SkipUpdateBcdForBoot", 2.5;
    }
}

schema_enum! {
    /// The purpose of an operating system layer.
    OsLayerType {
        /// Containers.
        Container = "Container", 2.1;
        /// Virtual machines.
        Vm = "Vm", 2.1;
    }
}
