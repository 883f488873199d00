//! [`Layer`], [`CacheMode`].

use crate::{documents::PathType, shape::format::Guid};

document! {
    /// One read-only layer of a container's file system.
    Layer, checked by crate::rules::system::layer {
        /// Name of the layer for programs that manage layers; a Linux container is made from `Path` alone.
        id: String as Guid = "Id", 2.0;
        /// Directory that holds the layer. On Linux any directory, `/` included.
        path: String = "Path", 2.0;
        /// How `Path` is to be read.
        path_type: PathType = "PathType", 2.1;
        /// How a virtual machine may cache the layer.
        cache: CacheMode = "Cache", 2.0;
    }
}

schema_enum! {
    /// How a layer is cached in a virtual machine.
    CacheMode {
        /// The default.
        Unspecified = "", 2.1;
        /// Not at all.
        Disabled = "Disabled", 2.0;
        /// In memory that all partitions of the host share.
        Enabled = "Enabled", 2.0;
        /// In memory of the one partition.
        Private = "Private", 2.0;
        /// In memory of the one partition, which others may read.
        PrivateAllowSharing = "PrivateAllowSharing", 2.0;
    }
}
