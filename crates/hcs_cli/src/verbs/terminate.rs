//! `hcs terminate`.

use clap::Args;
use hcs::ComputeSystem;

use crate::{client, failure::Stop, options::limit::Limit};

/// Kill everything in a system and remove it
#[derive(Args, Debug)]
pub(crate) struct Terminate {
    /// The systems
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,

    #[command(flatten)]
    limit: Limit,
}

impl Terminate {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        for id in &self.ids {
            let system = ComputeSystem::open(id).wait()?;
            client::terminate(&system, self.limit)?;
        }
        Ok(0)
    }
}
