//! `hcs resume`.

use clap::Args;
use hcs::ComputeSystem;

use crate::{failure::Stop, options::limit::Limit};

/// Let a paused system run on
#[derive(Args, Debug)]
pub(crate) struct Resume {
    /// The systems
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,

    #[command(flatten)]
    limit: Limit,
}

impl Resume {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        for id in &self.ids {
            let system = ComputeSystem::open(id).wait()?;
            self.limit.on(system.resume()).wait()?;
        }
        Ok(0)
    }
}
