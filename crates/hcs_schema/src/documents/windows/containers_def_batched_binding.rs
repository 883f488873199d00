//! [`ContainersDefBatchedBinding`], `ContainersDef_BatchedBinding` in the schema.

document! {
    /// A file that appears in several directories of a Windows container.
    ContainersDefBatchedBinding = "ContainersDef_BatchedBinding" {
        /// The file.
        filepath: String = "filepath", 2.3;
        /// The directories.
        bindingroots: Vec<String> = "bindingroots", 2.3;
    }
}
