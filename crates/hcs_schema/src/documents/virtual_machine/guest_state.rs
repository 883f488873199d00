//! [`GuestState`].

document! {
    /// Files that keep a virtual machine's state.
    GuestState {
        /// Keeps the data that firmware stores; empty means memory only.
        guest_state_file_path: String = "GuestStateFilePath", 2.1;
        /// Keeps the data that the running machine stores; empty means memory only.
        runtime_state_file_path: String = "RuntimeStateFilePath", 2.1;
        /// Whether the files are only read at the start, and never written.
        force_transient_state: bool = "ForceTransientState", 2.1;
        /// Whether that is a file or a block device.
        guest_state_file_type: String = "GuestStateFileType", 2.7;
    }
}
