//! Where the log goes and what is in it.
//!
//! To stderr, which is a terminal, the journal, or the log file of a service that a client started. Levels: `error`,
//! something is wrong that somebody has to look at; `warn`, something is wrong and the service dealt with it; `info`,
//! the life of systems; `debug`, every failed call. Environments, command lines and stdin are never logged.

use std::io;

use tracing_subscriber::EnvFilter;

/// Starts logging by `directives`, or at `info`.
///
/// # Errors
/// The directives make no sense.
pub(crate) fn start(directives: Option<&str>) -> Result<(), String> {
    let directives = directives.unwrap_or("info");
    let filter = EnvFilter::try_new(directives)
        .map_err(|e| format!("log = \"{directives}\" makes no sense: {e}"))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(false)
        .with_target(false)
        .try_init()
        .map_err(|e| format!("logging cannot be started: {e}"))
}
