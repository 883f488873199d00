//! [`BasicInformation`].

use crate::documents::Version;

document! {
    /// The service itself.
    BasicInformation {
        /// The newest minor version of each major version it knows.
        supported_schema_versions: Vec<Version> = "SupportedSchemaVersions", 2.1;
    }
}
