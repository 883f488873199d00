//! [`VirtualSmbShareOptions`].

document! {
    /// How a host directory is shared by SMB.
    VirtualSmbShareOptions {
        /// The guest may only read.
        read_only: bool = "ReadOnly", 2.1;
        /// Files opened for one reader may be read by others.
        share_read: bool = "ShareRead", 2.1;
        /// Files are cached.
        cache_io: bool = "CacheIo", 2.1;
        /// No oplocks.
        no_oplocks: bool = "NoOplocks", 2.1;
        /// Files are opened with the right to back them up.
        take_backup_privilege: bool = "TakeBackupPrivilege", 2.1;
        /// Files are opened as the owner of the root.
        use_share_root_identity: bool = "UseShareRootIdentity", 2.1;
        /// Files are not mapped into the guest.
        no_directmap: bool = "NoDirectmap", 2.1;
        /// No locks on parts of files.
        no_locks: bool = "NoLocks", 2.1;
        /// No notice of changes in directories.
        no_dirnotify: bool = "NoDirnotify", 2.1;
        /// The share is for memory shared with the guest.
        vm_shared_memory: bool = "VmSharedMemory", 2.1;
        /// Only `AllowedFiles` are seen.
        restrict_file_access: bool = "RestrictFileAccess", 2.1;
        /// Oplocks of level II only.
        force_level_ii_oplocks: bool = "ForceLevelIIOplocks", 2.1;
        /// The host may redirect files of this layer.
        reparse_base_layer: bool = "ReparseBaseLayer", 2.1;
        /// Oplocks are pretended.
        pseudo_oplocks: bool = "PseudoOplocks", 2.1;
        /// Files are not cached.
        non_cache_io: bool = "NonCacheIo", 2.1;
        /// Notice of changes in directories is pretended.
        pseudo_dirnotify: bool = "PseudoDirnotify", 2.1;
        /// Directories cannot be listed, nor files renamed or removed.
        single_file_mapping: bool = "SingleFileMapping", 2.1;
        /// Files that a cloud provider holds are fetched.
        support_cloud_files: bool = "SupportCloudFiles", 2.3;
        /// The guest does not see that files are encrypted.
        filter_encryption_attributes: bool = "FilterEncryptionAttributes", 2.4;
    }
}
