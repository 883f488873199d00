//! [`TemporaryDirectory`].

document! {
    /// A directory in memory that a container begins with, empty (our extension). What is in it counts as memory of the
    /// container and vanishes with it.
    TemporaryDirectory, checked by crate::rules::system::temporary_directory {
        /// Where it appears inside; absolute.
        container_path: String = "ContainerPath", "extension";
        /// The most that it holds, in megabytes (2^20 bytes); half of the machine's memory without it.
        size_in_mb: u64 = "SizeInMB", "extension";
        /// Its permissions as a number, of which the twelve lowest bits count; 1777 octal without it.
        mode: u32 = "Mode", "extension";
    }
}
