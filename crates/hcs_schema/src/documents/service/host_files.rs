//! [`HostFiles`].

document! {
    /// Files of the host that a Windows container sees as they are.
    HostFiles {
        /// Directory of the image.
        base_image_path: String = "base_image_path", 2.3;
        /// Directory of the scratch.
        sandbox_path: String = "sandbox_path", 2.3;
        /// The files.
        file: Vec<String> = "file", 2.3;
    }
}
