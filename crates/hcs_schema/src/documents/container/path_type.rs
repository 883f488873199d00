//! [`PathType`].

schema_enum! {
    /// How a host path is to be read.
    PathType {
        /// A path on the host.
        AbsolutePath = "AbsolutePath", 2.1;
        /// A path below a share that a virtual machine has from its host.
        VirtualSmbShareName = "VirtualSmbShareName", 2.1;
    }
}
