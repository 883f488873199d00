//! [`VirtualSmb`].

use crate::documents::VirtualSmbShare;

document! {
    /// Host directories that a virtual machine sees by SMB.
    VirtualSmb {
        /// The directories.
        shares: Vec<VirtualSmbShare> = "Shares", 2.1;
        /// Room for files mapped straight into the guest, in megabytes.
        direct_file_mapping_in_mb: i64 = "DirectFileMappingInMB", 2.1;
    }
}
