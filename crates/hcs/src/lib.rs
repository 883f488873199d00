//! The safe Rust client of the Host Compute Service, blocking and async.
//!
//! 1. [`ComputeSystem`] and [`Process`]: the objects to work with. Each call gives an [`Operation`], which is waited
//!    for or awaited on any executor. The end of either object is an [`Exit`]; its events are the stream [`Events`].
//!    [`KeptOutput`] is what a detached process has written.
//! 2. [`read_log`], [`LogFollower`]: the service's event log. [`explain()`]: the time line of one operation.
//! 3. [`network`]: networks, and what containers have of them.
//! 4. [`raw`]: the functions of `ComputeCore.h` as Rust methods, one to one. The C library is built on it.
//! 5. [`Endpoint`]: where the service listens. Nothing has to be set up: a service is started when none is there.
//!
//! ```
//! use std::io::Read as _;
//!
//! use hcs::{ComputeSystem, documents};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let id = format!("hcs-doc-{}", std::process::id());
//! let document = documents::ComputeSystem {
//!     container: Some(documents::Container::default()),
//!     should_terminate_on_last_handle_closed: Some(true),
//!     ..Default::default()
//! };
//! let system = ComputeSystem::create(&id, &document).wait()?;
//! system.start().wait()?;
//!
//! let parameters = documents::ProcessParameters {
//!     command_line: Some("echo hello".to_owned()),
//!     create_std_out_pipe: Some(true),
//!     ..Default::default()
//! };
//! let mut process = system.create_process(&parameters).wait()?;
//! let mut output = String::new();
//! if let Some(stdout) = process.take_stdout() {
//!     std::fs::File::from(stdout).read_to_string(&mut output)?;
//! }
//! assert_eq!(output, "hello\n");
//! assert!(process.wait()?.success());
//! system.terminate().wait()?;
//! # Ok(())
//! # }
//! ```
//!
//! The same, awaited:
//!
//! ```
//! use futures_lite::AsyncReadExt as _;
//! use hcs::{ComputeSystem, documents};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let id = format!("hcs-doc-async-{}", std::process::id());
//! # let document = documents::ComputeSystem {
//! #     container: Some(documents::Container::default()),
//! #     should_terminate_on_last_handle_closed: Some(true),
//! #     ..Default::default()
//! # };
//! futures_lite::future::block_on(async {
//!     let system = ComputeSystem::create(&id, &document).await?;
//!     system.start().await?;
//!     let parameters = documents::ProcessParameters {
//!         command_args: Some(vec!["cat".to_owned(), "/proc/self/comm".to_owned()]),
//!         create_std_out_pipe: Some(true),
//!         ..Default::default()
//!     };
//!     let mut process = system.create_process(&parameters).await?;
//!     let mut output = String::new();
//!     if let Some(mut stdout) = process.stdout_reader()? {
//!         stdout.read_to_string(&mut output).await?;
//!     }
//!     assert_eq!(output, "cat\n");
//!     assert_eq!(process.exit().await?.code, 0);
//!     system.terminate().await?;
//!     Ok(())
//! })
//! # }
//! ```

mod attendant;
mod daemon;
mod descriptors;
mod endpoint;
mod events;
mod exit;
mod explain;
mod log;
#[cfg(test)]
#[expect(
    clippy::duplicate_mod,
    reason = "the model is the same code over other locks"
)]
mod model;
pub mod network;
mod operation;
mod output;
mod pipe;
mod pool;
mod process;
pub mod raw;
mod reading;
mod stdio;
mod system;
mod timer;
mod watcher;

pub use attendant::Attendant;
pub use descriptors::raise_limit;
pub use endpoint::{ENDPOINT_VARIABLE, Endpoint};
pub use events::Events;
pub use exit::{Exit, ExitStatus, OutOfMemory};
pub use explain::explain;
pub use hcs_schema::{Failure, HResult, Stdio, documents};
pub use hcs_wire::{
    access::TemporaryGrant,
    explain::{OperationReport, OperationStep},
    log::{LogEntry, LogPage, LogQuery},
    network::NetworkCall,
    output::{About as OutputAbout, OutputQuery, Record as OutputRecord},
};
pub use log::{LogFollower, read_log};
pub use operation::Operation;
pub use output::KeptOutput;
pub use pipe::{PipeReader, PipeWriter};
pub use process::Process;
pub use system::{ComputeSystem, enumerate};
