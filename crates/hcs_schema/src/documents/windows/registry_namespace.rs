//! [`RegistryNamespace`].

use crate::documents::{RegistryHiveStack, RegistryRedirectionNode, RegistrySymlink};

document! {
    /// The registry of a Windows container in its low-level form.
    RegistryNamespace {
        /// Links.
        symlink: Vec<RegistrySymlink> = "symlink", 2.3;
        /// Keys that lead elsewhere.
        redirectionnode: Vec<RegistryRedirectionNode> = "redirectionnode", 2.3;
        /// Hives.
        hivestack: Vec<RegistryHiveStack> = "hivestack", 2.3;
    }
}
