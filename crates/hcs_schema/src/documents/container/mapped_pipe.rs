//! [`MappedPipe`], [`MappedPipePathType`].

document! {
    /// A pipe of the host that appears inside a container.
    MappedPipe, checked by crate::rules::system::mapped_pipe {
        /// Where it appears inside.
        container_pipe_name: String = "ContainerPipeName", 2.0;
        /// The pipe on the host. On Linux a unix socket or a FIFO.
        host_path: String = "HostPath", 2.0;
        /// How `HostPath` is to be read.
        host_path_type: MappedPipePathType = "HostPathType", 2.1;
    }
}

schema_enum! {
    /// How the host path of a pipe is to be read.
    MappedPipePathType {
        /// A path on the host.
        AbsolutePath = "AbsolutePath", 2.1;
        /// A pipe of a share that a virtual machine has from its host.
        VirtualSmbPipeName = "VirtualSmbPipeName", 2.1;
    }
}
