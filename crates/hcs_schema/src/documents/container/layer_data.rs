//! [`LayerData`], [`FileSystemFilterType`].

use crate::documents::{Layer, Version};

document! {
    /// The layers of an image. Read by the storage functions.
    LayerData {
        /// The schema it was written for.
        schema_version: Version = "SchemaVersion", 2.1;
        /// The layers, topmost first.
        layers: Vec<Layer> = "Layers", 2.1;
        /// Which filter of Windows shows them as one tree; newer versions of Windows have it than the published schema.
        filter_type: FileSystemFilterType = "FilterType", "extension";
    }
}

schema_enum! {
    /// A filter of Windows that shows layers as one tree.
    FileSystemFilterType {
        /// The newer one: it joins directories, as overlayfs does.
        UnionFs = "UnionFS", "extension";
        /// The older one.
        Wcifs = "WCIFS", "extension";
    }
}
