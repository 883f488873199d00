//! [`Storage`].

use crate::documents::{Layer, StorageQoS};

document! {
    /// The file system of a container. Without it a Linux container sees a throw-away view of the host's own files.
    Storage, checked by crate::rules::system::storage {
        /// The read-only directories it is made of, topmost first.
        layers: Vec<Layer> = "Layers", 2.0;
        /// Directory that keeps what the container writes. Without it that vanishes with the container.
        path: String = "Path", 2.0;
        /// Limits on input and output.
        qos: StorageQoS = "QoS", 2.0;
    }
}
