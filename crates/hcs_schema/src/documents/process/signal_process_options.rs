//! [`SignalProcessOptions`].

use crate::documents::Signal;

document! {
    /// A signal for a process. Read by `HcsSignalProcess`. Without options, or with 0, it is killed.
    SignalProcessOptions {
        /// The signal: a name of the schema, or (our extension, and that of clients of Linux guests) a Linux signal's
        /// number or name.
        signal: Signal = "Signal", 2.1;
        /// Whether it goes to the group of the process as well (our extension): to all that it started and that made no
        /// group of its own. The signal that kills goes to its whole session then. Without it the process alone gets
        /// it.
        group: bool = "Group", "extension";
    }
}
