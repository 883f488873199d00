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
