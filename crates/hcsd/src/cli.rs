//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// The host compute service: runs containers and processes in them for programs that use libcomputecore.
#[derive(Clone, Debug, Parser)]
#[command(name = "hcsd", version)]
pub struct Options {
    /// Path of the service's socket [default: $HCS_ENDPOINT, else /run/hcs/hcs.sock for root and
    /// for other users hcs/hcs.sock in $XDG_RUNTIME_DIR or ~/.local/state]
    #[arg(long, value_name = "PATH")]
    pub endpoint: Option<PathBuf>,

    /// Configuration file [default: $HCS_CONFIG, else /etc/hcs/hcsd.toml if it is there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Leave when there has been no client and no compute system for this long [default with no value: idle_seconds of
    /// the configuration]
    #[arg(long, value_name = "SECONDS", num_args = 0..=1)]
    #[expect(
        clippy::option_option,
        reason = "absent, present, present with a value"
    )]
    pub idle_exit: Option<Option<u64>>,

    /// Start a service in the background unless one is there, and wait until it can be connected to
    #[arg(long, conflicts_with = "serve")]
    pub start: bool,

    /// What --start starts
    #[arg(long, hide = true)]
    pub serve: bool,
}
