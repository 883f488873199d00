//! [`MountManagerMountPoint`].

document! {
    /// A drive name of a Windows container.
    MountManagerMountPoint {
        /// The name.
        name: String = "name", 2.3;
        /// The path that it stands for.
        path: String = "path", 2.3;
    }
}
