//! [`MountManagerMountPoint`].

document! {
    /// A drive name of a Windows container.
    MountManagerMountPoint {
        /// The name.
        name: String = "name", 2.3;
        /// What it stands for.
        path: String = "path", 2.3;
    }
}
