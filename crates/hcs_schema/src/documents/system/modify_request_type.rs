//! [`ModifyRequestType`].

schema_enum! {
    /// The action of a modify request on a resource.
    ModifyRequestType {
        /// Adds it.
        Add = "Add", 2.0;
        /// Takes it away.
        Remove = "Remove", 2.0;
        /// Changes it.
        Update = "Update", 2.0;
    }
}
