//! [`OperationFailureInfo`].

document! {
    /// How an operation failed.
    OperationFailureInfo {
        /// The HRESULT.
        result: i32 = "Result", 2.6;
    }
}
