//! The systems that a verb is about, where it is the same for each of them.

use clap::Args;

use super::limit::Limit;

/// Several systems.
#[derive(Args, Debug)]
pub(crate) struct Systems {
    /// The systems; it is done to all of them at the same time
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<String>,

    #[command(flatten)]
    pub limit: Limit,
}

/// Several systems that are to end, or all there are.
#[derive(Args, Debug)]
pub(crate) struct Ending {
    /// The systems; it is done to all of them at the same time
    #[arg(required_unless_present = "all", value_name = "ID")]
    pub ids: Vec<String>,

    /// All systems of the service, those of other users and clients included; each failure is told
    #[arg(long, short, conflicts_with = "ids")]
    pub all: bool,

    #[command(flatten)]
    pub limit: Limit,
}
