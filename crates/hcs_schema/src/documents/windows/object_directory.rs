//! [`ObjectDirectory`].

use crate::documents::{ObjectDirectoryShadow, ObjectSymlink};

document! {
    /// A directory of Windows object names.
    ObjectDirectory {
        /// Its name.
        name: String = "name", 2.3;
        /// The object whose rights it copies.
        clonesd: String = "clonesd", 2.3;
        /// Whether it shows the host's directory through.
        shadow: ObjectDirectoryShadow = "shadow", 2.3;
        /// Links in it.
        symlink: Vec<ObjectSymlink> = "symlink", 2.3;
        /// Directories in it.
        objdir: Vec<ObjectDirectory> = "objdir", 2.3;
    }
}
