//! [`RegistryRedirectionNode`].

document! {
    /// A key of a Windows container's registry that leads elsewhere.
    RegistryRedirectionNode {
        /// The key inside.
        containerpath: String = "containerpath", 2.3;
        /// The key of the host.
        hostpath: String = "hostpath", 2.3;
        /// The hive to go to.
        hivestack: String = "hivestack", 2.3;
        /// Rights to it.
        access_mask: u32 = "access_mask", 2.3;
        /// Whether the target is trusted.
        trustedhive: bool = "trustedhive", 2.3;
        /// Whether the way leads out of the container.
        exitnode: bool = "exitnode", 2.3;
    }
}
