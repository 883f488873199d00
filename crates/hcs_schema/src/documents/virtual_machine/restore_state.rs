//! [`RestoreState`].

document! {
    /// The saved state that a virtual machine starts from instead of booting.
    RestoreState {
        /// A file made by `HcsSaveComputeSystem`.
        save_state_file_path: String = "SaveStateFilePath", 2.0;
        /// Id of a system saved as template.
        template_system_id: String = "TemplateSystemId", 2.1;
    }
}
