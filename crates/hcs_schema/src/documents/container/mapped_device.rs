//! [`MappedDevice`].

document! {
    /// A device of the host that appears inside a container (our extension): the node itself, and the right to use it.
    MappedDevice, checked by crate::rules::system::mapped_device {
        /// The device node on the host; absolute.
        host_path: String = "HostPath", "extension";
        /// Where it appears inside, absolute; the path on the host without it.
        container_path: String = "ContainerPath", "extension";
        /// What may be done with it: `r` for reading, `w` for writing, `m` for making further nodes of it (as every
        /// process may that has the capability); `rwm` without it. Less than reading and writing takes a service that
        /// has control groups.
        access: String = "Access", "extension";
    }
}
