//! [`SaveType`].

schema_enum! {
    /// What a saved system becomes.
    SaveType {
        /// A file to restore it from.
        ToFile = "ToFile", 2.1 until 2.4;
        /// A template to clone others from.
        AsTemplate = "AsTemplate", 2.1 until 2.4;
    }
}
