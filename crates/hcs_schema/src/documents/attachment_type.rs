//! [`AttachmentType`].

schema_enum! {
    /// The backing of a disk.
    AttachmentType {
        /// A disk image.
        VirtualDisk = "VirtualDisk", 2.0;
        /// An image of an optical disk.
        Iso = "Iso", 2.0;
        /// A disk of the host.
        PassThru = "PassThru", 2.0;
        /// A disk that another program serves.
        ExtensibleVirtualDisk = "ExtensibleVirtualDisk", 2.7;
    }
}
