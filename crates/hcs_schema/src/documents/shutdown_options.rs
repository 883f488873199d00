//! [`ShutdownOptions`].

use crate::documents::{ShutdownMechanism, ShutdownType};

document! {
    /// How to shut a compute system down. Read by `HcsShutDownComputeSystem`.
    ShutdownOptions {
        /// The part of the guest to ask.
        mechanism: ShutdownMechanism = "Mechanism", 2.5;
        /// The kind of shutdown to ask for.
        r#type: ShutdownType = "Type", 2.5;
        /// Whether programs are not given time.
        force: bool = "Force", 2.5;
        /// Why, in words, for the guest's log.
        reason: String = "Reason", 2.5;
    }
}
