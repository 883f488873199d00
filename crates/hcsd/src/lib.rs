//! The host compute service: accepts clients, authorises them, routes their calls, drives compute systems, publishes
//! events, and takes over what an earlier service left.
//!
//! ```text
//!   door ─▶ client: connection ─▶ router ─▶ system (queue, driver) ─▶ engine: makes and ends machines
//!                       ▲            └────▶ process ─▶ guest_link ──▶ agent: processes
//!                       └── events, answers ◀─────────────┘
//! ```
//!
//! Each folder uses those above it in this list, none below:
//!
//! 1. [`thread`]: turns, lanes and limits of the one thread of the service.
//! 2. [`record`]: event log, time lines of calls, and the state of systems on disk.
//! 3. [`network`]: networks, and what systems have of them.
//! 4. [`upkeep`]: start, configuration, machines kept ready, and what is removed in the background.
//! 5. [`system`]: systems, their processes, and the links to their agents.
//! 6. [`door`]: who connects, and whether they may.
//! 7. [`client`]: connections, calls and answers.
//!
//! [`serve`] puts them together, from the options ([`cli`]) to the end; [`engines`] alone names the engines there are.
//!
//! Everything runs on one thread, so state needs no locks; engine calls, which may block, run on threads that may wait
//! ([`record::blocking`]). So no system waits for another's engine or agent, and the way of a process (create, exit,
//! info) has no hop between threads.
//!
//! This room knows nothing of namespaces, cgroups or QEMU, and nothing of what goes on inside a system beyond what its
//! agent says; what an agent says concerns its own system only.

mod cli;
mod client;
mod document;
mod door;
mod engines;
#[cfg(fuzzing)]
pub mod fuzzing;
mod network;
mod record;
mod serve;
mod system;
mod thread;
mod upkeep;

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use clap::Parser as _;
use hcs_engine::engine::Engine;
use hcs_wire::environment::{is_root, variable};
use rustix::process::geteuid;

use record::files;
use upkeep::start;

pub use cli::Options;
pub use upkeep::{config, endpoint};

/// In a helper process, does its work and does not return: in the one that closes connections, and in those of the
/// engines. Must be the first call of a program.
pub fn main_if_helper() {
    door::unheard::main_if_closer();
    engines::main_if_helper();
}

/// Runs the program with the process's own command line. Must be called before any thread exists.
///
/// Failures are one sentence on stderr, and the exit code 1.
#[must_use]
pub fn main() -> ExitCode {
    main_with(&Options::parse(), Vec::new())
}

/// [`main`] with this command line, and with `engines` besides those of this build, asked before them. For programs
/// that try an engine out.
#[must_use]
pub fn main_with(options: &Options, engines: Vec<Arc<dyn Engine>>) -> ExitCode {
    let done = resolve(options).and_then(|(endpoint, config_path)| {
        if options.start {
            start::start(options, &endpoint, config_path.as_deref())
        } else {
            serve::run(options, &endpoint, config_path.as_deref(), engines)
        }
    });
    match done {
        Ok(code) => code,
        Err(sentence) => {
            start::report_failure(options, &sentence);
            ExitCode::FAILURE
        }
    }
}

/// The endpoint and the configuration file that the options and the environment name.
fn resolve(options: &Options) -> Result<(PathBuf, Option<PathBuf>), String> {
    let variable = |name: &str| variable(name).map(PathBuf::from);
    let default = || {
        let (runtime, home) = (variable("XDG_RUNTIME_DIR"), variable("HOME"));
        hcs_wire::endpoint::default_for(
            (geteuid().as_raw(), is_root()),
            runtime.as_deref(),
            home.as_deref(),
        )
    };
    let endpoint = options
        .endpoint
        .clone()
        .or_else(|| variable("HCS_ENDPOINT"))
        .unwrap_or_else(default);
    if !endpoint.is_absolute() {
        return Err(format!(
            "the endpoint {} is not an absolute path",
            endpoint.display()
        ));
    }
    // Another spelling is no other service: it would have the same socket and another state. The links that are
    // followed are those that no other user can change.
    files::check_surroundings(&endpoint)?;
    let endpoint = files::settled(&endpoint)?;
    let config = options.config.clone().or_else(|| variable("HCS_CONFIG"));
    // A service in the background is in another directory than its starter.
    let config = config.map(|path| std::path::absolute(&path).unwrap_or(path));
    Ok((endpoint, config))
}
