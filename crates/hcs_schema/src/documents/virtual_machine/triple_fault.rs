//! [`TripleFault`].

document! {
    /// A guest's processor that gave up.
    TripleFault {
        /// Code of the cause.
        error_type: u64 = "ErrorType", 2.4;
    }
}
