//! [`Storage`].

use crate::documents::{ContainerImage, Layer, StorageQoS};

document! {
    /// The file system of a container. Without layers a Linux container sees a throw-away view of the host's own files,
    /// without what is secret or private.
    Storage, checked by crate::rules::system::storage {
        /// The read-only directories it is made of, topmost first.
        layers: Vec<Layer> = "Layers", 2.0;
        /// Directory that keeps the data that the container writes. Without it the data vanishes with the container.
        path: String = "Path", 2.0;
        /// The most that the container may write, in megabytes (2^20 bytes), what the file system needs for itself
        /// included; 0 for no limit (our extension). Without it the service's configuration decides.
        scratch_size_in_mb: u64 = "ScratchSizeInMB", "extension";
        /// The most files and directories that the container may make; 0 for as many as fit (our extension). Needs a
        /// `ScratchSizeInMB`.
        scratch_inodes: u64 = "ScratchInodes", "extension";
        /// Whether the file system can only be read (our extension), but for what is mapped and for temporary
        /// directories.
        read_only: bool = "ReadOnly", "extension";
        /// Limits on input and output.
        qos: StorageQoS = "QoS", 2.0;
        /// Directory of the host whose tree the view of the host's files shows (our extension). It is a copy that takes
        /// what is written, also below /home, /root and other directories that are empty in the view. Homes and what is
        /// secret stay hidden. Only without layers.
        host_directory: String = "HostDirectory", "extension";
        /// The image that the layers are of (our extension).
        image: ContainerImage = "Image", "extension";
    }
}
