//! [`GetPropertyType`].

schema_enum! {
    /// A property of the service.
    GetPropertyType {
        /// Schema versions it knows.
        Basic = "Basic", 2.1;
        /// Its groups of processors.
        CpuGroup = "CpuGroup", 2.1;
        /// The host's processors.
        ProcessorTopology = "ProcessorTopology", 2.1;
        /// Credential guards that run.
        ContainerCredentialGuard = "ContainerCredentialGuard", 2.1;
        /// Which limits it can enforce.
        QoSCapabilities = "QoSCapabilities", 2.1;
        /// What the host's processors can do.
        ProcessorCapabilities = "ProcessorCapabilities", 2.5;
        /// The host's memory.
        Memory = "Memory", 2.1 until 2.3;
        /// Shares of the processors' cache.
        CacheAllocation = "CacheAllocation", 2.1 until 2.3;
        /// Use of the processors' cache.
        CacheMonitoring = "CacheMonitoring", 2.1 until 2.3;
        /// Shares of the memory's bandwidth.
        MemoryBwAllocation = "MemoryBwAllocation", 2.1 until 2.3;
        /// None.
        Undefined = "Undefined", 2.1 until 2.3;
        /// The properties of documents that are honoured, and why others are not.
        Capabilities = "Capabilities", "extension";
        /// Version, process, age, configuration and limits of the service.
        Service = "Service", "extension";
    }
}
