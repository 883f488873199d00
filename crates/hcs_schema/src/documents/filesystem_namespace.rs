//! [`FilesystemNamespace`].

use crate::documents::{
    ContainersDefBatchedBinding, FilesystemIsolationMode, FilesystemLayer, FilesystemNestingMode,
};

document! {
    /// The files that a Windows container sees.
    FilesystemNamespace {
        /// The scratch directory.
        path: String = "path", 2.3;
        /// How strictly files are kept apart.
        isolation: FilesystemIsolationMode = "isolation", 2.3;
        /// Where in a nest of containers it stands.
        nesting: FilesystemNestingMode = "nesting", 2.3;
        /// The layers.
        layer: Vec<FilesystemLayer> = "layer", 2.3;
        /// Single files that appear inside.
        bindings: Vec<ContainersDefBatchedBinding> = "bindings", 2.3;
    }
}
