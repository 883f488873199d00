//! `hcs pause`.

use clap::Args;
use hcs::ComputeSystem;

use crate::{failure::Stop, options::limit::Limit};

/// Hold all processes of a running system
#[derive(Args, Debug)]
pub(crate) struct Pause {
    /// The systems
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,

    #[command(flatten)]
    limit: Limit,
}

impl Pause {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        for id in &self.ids {
            let system = ComputeSystem::open(id).wait()?;
            self.limit.on(system.pause()).wait()?;
        }
        Ok(0)
    }
}
