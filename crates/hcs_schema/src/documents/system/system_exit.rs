//! [`SystemExit`], [`SystemExitDetail`].

use crate::documents::ExitInitiator;

document! {
    /// The end of a compute system.
    SystemExit {
        /// The cause of the end.
        detail: SystemExitDetail = "Detail", 2.4;
        /// The party that ended it.
        initiator: ExitInitiator = "Initiator", 2.4;
    }
}

schema_enum! {
    /// The cause of the end of a system.
    SystemExitDetail {
        /// Nothing.
        Invalid = "Invalid", 2.4;
        /// A call that failed for good.
        HcsApiFatalError = "HcsApiFatalError", 2.4;
        /// The end of the service.
        ServiceStop = "ServiceStop", 2.4;
        /// A shutdown.
        Shutdown = "Shutdown", 2.4;
        /// A kill.
        Terminate = "Terminate", 2.4;
        /// Something unexpected.
        UnexpectedExit = "UnexpectedExit", 2.4;
    }
}
