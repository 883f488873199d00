//! [`Plan9Share`].

document! {
    /// A host directory that a virtual machine sees by 9P.
    Plan9Share {
        /// Name by which it is modified and removed.
        name: String = "Name", 2.0;
        /// Name by which the guest mounts it (`aname`).
        access_name: String = "AccessName", 2.1;
        /// The directory.
        path: String = "Path", 2.0;
        /// The vsock port of the 9P server.
        port: u32 = "Port", 2.0;
        /// The only files to be seen.
        allowed_files: Vec<String> = "AllowedFiles", 2.2;
        /// Bits: 1 read-only, 4 Linux metadata, 8 case sensitive, 16 as the owner of the root; 32 options in the
        /// name, 64 directories below by name, 128 allowed files only, 256 many connections.
        flags: u32 = "Flags", "extension";
    }
}
