//! [`SystemExit`].

use crate::documents::{ExitInitiator, SystemExitDetail};

document! {
    /// The end of a compute system.
    SystemExit {
        /// The cause of the end.
        detail: SystemExitDetail = "Detail", 2.4;
        /// The party that ended it.
        initiator: ExitInitiator = "Initiator", 2.4;
    }
}
