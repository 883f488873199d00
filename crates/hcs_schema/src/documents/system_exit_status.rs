//! [`SystemExitStatus`].

use serde_json::Value;

use crate::documents::{NotificationType};

document! {
    /// How a compute system ended. Comes with `HcsEventSystemExited`, and from `HcsWaitForComputeSystemExit`.
    SystemExitStatus {
        /// HRESULT of its end.
        status: i32 = "Status", 2.1;
        /// The kind of its end.
        exit_type: NotificationType = "ExitType", 2.2;
        /// What brought it about.
        attribution: Vec<Value> = "Attribution", 2.4;
    }
}
