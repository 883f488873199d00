//! [`SaveOptions`], [`SaveType`].

document! {
    /// How to save a compute system. Read by `HcsSaveComputeSystem`.
    SaveOptions {
        /// The kind of saved system to make.
        save_type: SaveType = "SaveType", 2.1;
        /// The file to save to.
        save_state_file_path: String = "SaveStateFilePath", 2.1;
    }
}

schema_enum! {
    /// The kind of a saved system.
    SaveType {
        /// A file to restore it from.
        ToFile = "ToFile", 2.1;
        /// A template to clone others from.
        AsTemplate = "AsTemplate", 2.1;
    }
}
