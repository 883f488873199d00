//! [`SaveType`].

schema_enum! {
    /// The kind of a saved system.
    SaveType {
        /// A file to restore it from.
        ToFile = "ToFile", 2.1;
        /// A template to clone others from.
        AsTemplate = "AsTemplate", 2.1;
    }
}
