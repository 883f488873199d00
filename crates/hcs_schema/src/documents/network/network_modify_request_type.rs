//! [`NetworkModifyRequestType`].

schema_enum! {
    /// The action on a guest's network adapter. Dropped from the schema.
    NetworkModifyRequestType {
        /// It will be added.
        PreAdd = "PreAdd", 2.1 until 2.3;
        /// It has been added.
        Add = "Add", 2.1 until 2.3;
        /// It is removed.
        Remove = "Remove", 2.1 until 2.3;
    }
}
