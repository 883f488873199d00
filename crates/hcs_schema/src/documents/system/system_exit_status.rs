//! [`SystemExitStatus`].

use crate::documents::{AttributionRecord, NotificationType};

document! {
    /// How a compute system ended. Comes with `HcsEventSystemExited`, and from `HcsWaitForComputeSystemExit`.
    SystemExitStatus {
        /// HRESULT of its end.
        status: i32 = "Status", 2.1;
        /// The kind of its end.
        exit_type: NotificationType = "ExitType", 2.2;
        /// The origins of the end.
        attribution: Vec<AttributionRecord> = "Attribution", 2.4;
    }
}
