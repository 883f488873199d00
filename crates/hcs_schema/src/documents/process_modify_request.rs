//! [`ProcessModifyRequest`].

use crate::documents::{CloseHandle, ConsoleSize, ModifyOperation};

document! {
    /// A change to a running process. Read by `HcsModifyProcess`.
    ProcessModifyRequest, checked by crate::rules::process::modify {
        /// The thing to change.
        operation: ModifyOperation = "Operation", 2.0;
        /// The new size, for `ConsoleSize`.
        console_size: ConsoleSize = "ConsoleSize", 2.0;
        /// The stream to close, for `CloseHandle`.
        close_handle: CloseHandle = "CloseHandle", 2.0;
    }
}
