//! [`MappedPipe`].

use crate::documents::MappedPipePathType;

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
