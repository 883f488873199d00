//! [`ObjectNamespace`].

use crate::documents::{ObjectDirectory, ObjectDirectoryShadow, ObjectSymlink};

document! {
    /// The object names of a Windows container.
    ObjectNamespace {
        /// Whether it shows the host's names through.
        shadow: ObjectDirectoryShadow = "shadow", 2.3;
        /// Links at the top.
        symlink: Vec<ObjectSymlink> = "symlink", 2.3;
        /// Directories at the top.
        objdir: Vec<ObjectDirectory> = "objdir", 2.3;
    }
}
