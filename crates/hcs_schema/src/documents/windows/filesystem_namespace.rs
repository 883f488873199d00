//! [`FilesystemNamespace`], [`FilesystemIsolationMode`], [`FilesystemNestingMode`].

use crate::documents::{ContainersDefBatchedBinding, FilesystemLayer};

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

schema_enum! {
    /// How strictly a Windows container's files are kept apart.
    FilesystemIsolationMode {
        /// Nothing of the host is seen.
        Hard = "hard", 2.3;
        /// The host's files show through.
        Soft = "soft", 2.3;
    }
}

schema_enum! {
    /// Where in a nest of containers one stands.
    FilesystemNestingMode {
        /// Inside another.
        Inner = "inner", 2.3;
        /// Outside of others.
        Outer = "outer", 2.3;
    }
}
