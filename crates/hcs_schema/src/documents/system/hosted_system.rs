//! [`HostedSystem`].

use crate::documents::{Container, Version};

document! {
    /// A container to make inside another compute system.
    HostedSystem {
        /// The schema its document was written for; it need not be the outer one's.
        schema_version: Version = "SchemaVersion", 2.0;
        /// The settings of the container.
        container: Container = "Container", 2.0;
    }
}
