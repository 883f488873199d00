//! [`CombinedLayers`].

use crate::documents::Layer;

document! {
    /// Layers that a guest is to combine into one root directory.
    CombinedLayers {
        /// The layers, topmost first.
        layers: Vec<Layer> = "Layers", 2.0;
        /// Directory that takes written data.
        scratch_path: String = "ScratchPath", 2.0;
        /// Where the combined directory appears.
        container_root_path: String = "ContainerRootPath", 2.0;
        /// The container the layers are for. Clients of Linux guests send it.
        container_id: String = "ContainerID", "extension";
    }
}
