//! [`WorkerExit`].

use crate::documents::{ExitInitiator, WorkerExitDetail, WorkerExitType};

document! {
    /// The end of the process that runs a virtual machine.
    WorkerExit {
        /// Its exit code.
        exit_code: u32 = "ExitCode", 2.4;
        /// The kind of its end.
        r#type: WorkerExitType = "Type", 2.4;
        /// The cause of the end.
        detail: WorkerExitDetail = "Detail", 2.4;
        /// The party that ended it.
        initiator: ExitInitiator = "Initiator", 2.4;
    }
}
