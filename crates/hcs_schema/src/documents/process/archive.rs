//! [`Archive`], [`ArchiveOperation`].

document! {
    /// Files of a compute system as a tar stream (our extension), in a process of its own that resolves all paths
    /// inside and may do what its user may. It ends with the exit code 0, or with another one and the reason on
    /// standard error.
    Archive, checked by crate::rules::process::archive {
        /// Which way.
        operation: ArchiveOperation = "Operation", "extension";
        /// What is packed: a file or directory, with `/.` behind it the content of the directory. Or where the stream
        /// is unpacked to: into this directory, or under this name where there is no directory.
        path: String = "Path", "extension";
        /// Whether what a symbolic link at `Path` leads to is packed, and not the link.
        follow_link: bool = "FollowLink", "extension";
        /// Whether unpacked files get the owners that the stream names, and not the process's user.
        keep_owners: bool = "KeepOwners", "extension";
        /// Whether the stream may be any archive, which is unpacked into the directory `Path`. Without it the stream
        /// has one copy, as it was packed by this or by `hcs cp`.
        any_archive: bool = "AnyArchive", "extension";
    }
}

schema_enum! {
    /// Which way files go (our extension).
    ArchiveOperation {
        /// From the compute system: the archive comes from standard output.
        Pack = "Pack", "extension";
        /// Into the compute system: the archive is read from standard input.
        Unpack = "Unpack", "extension";
    }
}
