//! Processes in compute systems.

mod archive;
mod close_handle;
mod console_size;
mod process_defaults;
mod process_details;
mod process_modify_request;
mod process_parameters;
mod process_status;
mod signal;
mod signal_process_options;

pub use archive::{Archive, ArchiveOperation};
pub use close_handle::{CloseHandle, StdHandle};
pub use console_size::ConsoleSize;
pub use process_defaults::ProcessDefaults;
pub use process_details::ProcessDetails;
pub use process_modify_request::{ModifyOperation, ProcessModifyRequest};
pub use process_parameters::ProcessParameters;
pub use process_status::ProcessStatus;
pub use signal::{ProcessSignal, Signal};
pub use signal_process_options::SignalProcessOptions;
