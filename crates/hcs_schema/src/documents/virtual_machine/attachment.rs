//! [`Attachment`], [`AttachmentType`], [`CachingMode`].

document! {
    /// A disk on a SCSI controller of a virtual machine.
    Attachment {
        /// The backing of the disk.
        r#type: AttachmentType = "Type", 2.0;
        /// The file or device on the host.
        path: String = "Path", 2.0;
        /// How the host caches it.
        caching_mode: CachingMode = "CachingMode", 2.1;
        /// Whether the guest may only read it.
        read_only: bool = "ReadOnly", 2.0;
        /// Whether the file may lie on a compressed volume.
        support_compressed_volumes: bool = "SupportCompressedVolumes", 2.3;
        /// Whether a sparse file will do.
        always_allow_sparse_files: bool = "AlwaysAllowSparseFiles", 2.6;
        /// Whether an encrypted file will do.
        support_encrypted_files: bool = "SupportEncryptedFiles", 2.6;
        /// Whether the guest's flushes are dropped: fast, and unsafe when the host fails.
        ignore_flushes: bool = "IgnoreFlushes", 2.7;
        /// Whether writes may stay in the host's cache.
        no_write_hardening: bool = "NoWriteHardening", 2.7;
        /// Whether a growing disk is grown without shortcuts.
        disable_expansion_optimization: bool = "DisableExpansionOptimization", 2.7;
        /// Whether a parent disk is found by its absolute path only.
        ignore_relative_locator: bool = "IgnoreRelativeLocator", 2.7;
        /// Whether requests are accounted to their originators.
        capture_io_attribution_context: bool = "CaptureIoAttributionContext", 2.7;
        /// Kind of an extensible virtual disk.
        extensible_virtual_disk_type: String = "ExtensibleVirtualDiskType", 2.7;
    }
}

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

schema_enum! {
    /// How the host caches a disk.
    CachingMode {
        /// Not at all.
        Uncached = "Uncached", 2.1;
        /// All files.
        Cached = "Cached", 2.1;
        /// Files that are only read.
        ReadOnlyCached = "ReadOnlyCached", 2.1;
    }
}
