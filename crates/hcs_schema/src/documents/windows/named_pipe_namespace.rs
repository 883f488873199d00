//! [`NamedPipeNamespace`].

use crate::documents::NamedPipeSymlink;

document! {
    /// The named pipes of a Windows container.
    NamedPipeNamespace {
        /// Pipes that lead out of it.
        symlink: Vec<NamedPipeSymlink> = "symlink", 2.3;
    }
}
