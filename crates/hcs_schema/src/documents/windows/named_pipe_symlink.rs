//! [`NamedPipeSymlink`].

document! {
    /// A named pipe that leads out of a Windows container.
    NamedPipeSymlink {
        /// Its name inside.
        name: String = "name", 2.3;
        /// The pipe it leads to.
        path: String = "path", 2.3;
    }
}
