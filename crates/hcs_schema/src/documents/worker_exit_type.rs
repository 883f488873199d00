//! [`WorkerExitType`].

schema_enum! {
    /// How a virtual machine's process ended.
    WorkerExitType {
        /// It did not.
        None = "None", 2.4;
        /// It could not be initialised.
        InitializationFailed = "InitializationFailed", 2.4;
        /// It stopped.
        Stopped = "Stopped", 2.4;
        /// It was saved.
        Saved = "Saved", 2.4;
        /// It stopped where the guest reset itself.
        StoppedOnReset = "StoppedOnReset", 2.4;
        /// It stopped unexpectedly.
        UnexpectedStop = "UnexpectedStop", 2.4;
        /// It could not be reset.
        ResetFailed = "ResetFailed", 2.4;
        /// An error it could not recover from.
        UnrecoverableError = "UnrecoverableError", 2.4;
    }
}
