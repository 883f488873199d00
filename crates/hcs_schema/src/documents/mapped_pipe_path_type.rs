//! [`MappedPipePathType`].

schema_enum! {
    /// How the host path of a pipe is to be read.
    MappedPipePathType {
        /// A path on the host.
        AbsolutePath = "AbsolutePath", 2.1;
        /// A pipe of a share that a virtual machine has from its host.
        VirtualSmbPipeName = "VirtualSmbPipeName", 2.1;
    }
}
