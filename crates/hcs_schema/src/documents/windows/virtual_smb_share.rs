//! [`VirtualSmbShare`].

use crate::documents::VirtualSmbShareOptions;

document! {
    /// A host directory that a virtual machine sees by SMB.
    VirtualSmbShare {
        /// Name of the share.
        name: String = "Name", 2.0;
        /// The directory.
        path: String = "Path", 2.0;
        /// The only files to be seen.
        allowed_files: Vec<String> = "AllowedFiles", 2.0;
        /// How it is shared.
        options: VirtualSmbShareOptions = "Options", 2.1;
    }
}
