//! [`PauseNotification`], [`PauseReason`].

document! {
    /// The message to the guest of a system that is paused.
    PauseNotification {
        /// Why it is paused.
        reason: PauseReason = "Reason", 2.1;
    }
}

schema_enum! {
    /// Why a system is paused.
    PauseReason {
        /// For nothing in particular.
        None = "None", 2.1;
        /// To be saved.
        Save = "Save", 2.1;
        /// To become a template.
        Template = "Template", 2.1;
    }
}
