//! [`MountManagerNamespace`].

use crate::documents::MountManagerMountPoint;

document! {
    /// The drive names of a Windows container.
    MountManagerNamespace {
        /// The names.
        mount_point: Vec<MountManagerMountPoint> = "mount_point", 2.3;
    }
}
