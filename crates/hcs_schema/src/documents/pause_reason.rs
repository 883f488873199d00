//! [`PauseReason`].

schema_enum! {
    /// Why a system is paused.
    PauseReason {
        /// For nothing in particular.
        None = "None", 2.1 until 2.4;
        /// To be saved.
        Save = "Save", 2.1 until 2.4;
        /// To become a template.
        Template = "Template", 2.1 until 2.4;
    }
}
