//! [`LinuxKernelDirect`].

document! {
    /// Boot of a Linux kernel without firmware.
    LinuxKernelDirect {
        /// The kernel's file on the host.
        kernel_file_path: String = "KernelFilePath", 2.2;
        /// The initial RAM disk's file on the host.
        init_rd_path: String = "InitRdPath", 2.2;
        /// The kernel's command line.
        kernel_cmd_line: String = "KernelCmdLine", 2.2;
    }
}
