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
        /// Whether, in a container with a user namespace, files of the host's root belong to root inside, and others to
        /// the users with the same numbers (our extension). Otherwise they belong to `nobody` inside, unless their
        /// owner is one of the container's own ids. Without a user namespace, and with a service of an ordinary user,
        /// owners are as if this was set.
        shift_owners: bool = "ShiftOwners", "extension";
        /// Whether the container may make set-user-ID and set-group-ID programs, files with capabilities and device
        /// nodes, which give power on the host (our extension). Otherwise it can make none, there or elsewhere. It is
        /// said for all writable directories of a container or for none.
        allow_set_id: bool = "AllowSetId", "extension";
    }
}
