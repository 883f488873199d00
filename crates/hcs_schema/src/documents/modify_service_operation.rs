//! [`ModifyServiceOperation`].

schema_enum! {
    /// A change to the groups of host processors.
    ModifyServiceOperation {
        /// Makes one.
        CreateGroup = "CreateGroup", 2.1 until 2.4;
        /// Removes one.
        DeleteGroup = "DeleteGroup", 2.1 until 2.4;
        /// Sets a property of one.
        SetProperty = "SetProperty", 2.1 until 2.4;
    }
}
