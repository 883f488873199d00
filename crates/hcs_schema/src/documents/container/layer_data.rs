//! [`LayerData`].

use crate::documents::{Layer, Version};

document! {
    /// The layers of an image. Read by the storage functions.
    LayerData {
        /// The schema it was written for.
        schema_version: Version = "SchemaVersion", 2.1;
        /// The layers, topmost first.
        layers: Vec<Layer> = "Layers", 2.1;
    }
}
