//! [`MappedDirectory`].

use crate::documents::PathType;

document! {
    /// A directory of the host that appears inside a container.
    MappedDirectory, checked by crate::rules::system::mapped_directory {
        /// The directory on the host; absolute.
        host_path: String = "HostPath", 2.0;
        /// How `HostPath` is to be read.
        host_path_type: PathType = "HostPathType", 2.1;
        /// Where it appears inside; absolute.
        container_path: String = "ContainerPath", 2.0;
        /// Whether the container may only read it.
        read_only: bool = "ReadOnly", 2.0;
        /// Whether files that a Windows cloud provider holds are fetched on access.
        support_cloud_files: bool = "SupportCloudFiles", 2.3;
    }
}
