//! [`ModifyRequestType`].

schema_enum! {
    /// What a modify request does to a resource.
    ModifyRequestType {
        /// Adds it.
        Add = "Add", 2.0 until 2.4;
        /// Takes it away.
        Remove = "Remove", 2.0 until 2.4;
        /// Changes it.
        Update = "Update", 2.0 until 2.4;
    }
}
