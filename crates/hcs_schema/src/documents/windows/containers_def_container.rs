//! [`ContainersDefContainer`], `ContainersDef_Container` in the schema.

use crate::documents::Namespace;

document! {
    /// A Windows container in its low-level form.
    ContainersDefContainer = "ContainersDef_Container" {
        /// Its namespaces.
        namespace: Namespace = "namespace", 2.3;
    }
}
