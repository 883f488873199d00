//! [`SystemExit`].

use crate::documents::{ExitInitiator, SystemExitDetail};

document! {
    /// The end of a compute system.
    SystemExit {
        /// What ended it.
        detail: SystemExitDetail = "Detail", 2.4;
        /// Who.
        initiator: ExitInitiator = "Initiator", 2.4;
    }
}
