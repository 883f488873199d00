//! [`Namespace`].

use crate::documents::{
    DeviceNamespace, FilesystemNamespace, HostFiles, JobNamespace, MountManagerNamespace,
    NamedPipeNamespace, NetworkNamespace, ObjectNamespace, RegistryNamespace,
};

document! {
    /// All that a Windows container sees, in its low-level form.
    Namespace {
        /// Its job object.
        job: JobNamespace = "job", 2.3;
        /// Its files.
        filesystem: FilesystemNamespace = "filesystem", 2.3;
        /// Its drive names.
        mountmgr: MountManagerNamespace = "mountmgr", 2.3;
        /// Its named pipes.
        namedpipe: NamedPipeNamespace = "namedpipe", 2.3;
        /// Its object names.
        ob: ObjectNamespace = "ob", 2.3;
        /// Its registry.
        registry: RegistryNamespace = "registry", 2.3;
        /// Its network.
        network: NetworkNamespace = "network", 2.3;
        /// Its devices.
        device: DeviceNamespace = "device", 2.3;
        /// Files of the host that it sees as they are.
        hostfiles: HostFiles = "hostfiles", 2.3;
    }
}
