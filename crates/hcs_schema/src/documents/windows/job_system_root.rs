//! [`JobSystemRoot`].

document! {
    /// The Windows directory of a container.
    JobSystemRoot {
        /// Where it is.
        path: String = "path", 2.3;
    }
}
