//! [`ContainerImage`].

use std::collections::BTreeMap;

document! {
    /// The image that the layers of a container are of (our extension). While the compute system exists, its layers are
    /// not removed from the store, nor is the image.
    ContainerImage, checked by crate::rules::system::container_image {
        /// Directory of the store; absolute. The layers of the image are directories in `layers` of it.
        store: String = "Store", "extension";
        /// Digest of the image's manifest: `sha256:` and 64 hexadecimal digits.
        digest: String = "Digest", "extension";
        /// A name of the image, for people.
        name: String = "Name", "extension";
        /// Its labels, for programs that look for containers by them.
        labels: BTreeMap<String, String> = "Labels", "extension";
        /// The ports that its program serves, as `80/tcp`, for people and programs that publish them.
        exposed_ports: Vec<String> = "ExposedPorts", "extension";
    }
}
