//! [`ApplySecureBootTemplateType`].

schema_enum! {
    /// Whether secure boot keys are installed.
    ApplySecureBootTemplateType {
        /// They are not.
        Skip = "Skip", 2.3;
        /// They are.
        Apply = "Apply", 2.3;
    }
}
