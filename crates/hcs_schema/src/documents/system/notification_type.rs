//! [`NotificationType`].

schema_enum! {
    /// How a compute system ended.
    NotificationType {
        /// It has not.
        None = "None", 2.1;
        /// As it was asked to, or by itself.
        GracefulExit = "GracefulExit", 2.1;
        /// It was killed.
        ForcedExit = "ForcedExit", 2.1;
        /// Something went wrong.
        UnexpectedExit = "UnexpectedExit", 2.1;
        /// The kind of end is not known.
        Unknown = "Unknown", 2.1;
    }
}
