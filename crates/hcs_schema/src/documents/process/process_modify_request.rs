//! [`ProcessModifyRequest`], [`ModifyOperation`].

use crate::documents::{CloseHandle, ConsoleSize};

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

schema_enum! {
    /// The changes that a running process allows.
    ModifyOperation {
        /// The size of its terminal.
        ConsoleSize = "ConsoleSize", 2.0;
        /// One of its streams is closed, as a client does to end its standard input.
        CloseHandle = "CloseHandle", 2.0;
    }
}
