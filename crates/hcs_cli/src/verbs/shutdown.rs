//! `hcs shutdown`.

use clap::Args;
use hcs::ComputeSystem;

use crate::{failure::Stop, options::limit::Limit};

/// Ask everything in a system to end (SIGTERM), then remove it; fails, and leaves it running, when that takes too long
#[derive(Args, Debug)]
pub(crate) struct Shutdown {
    /// The systems
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,

    #[command(flatten)]
    limit: Limit,
}

impl Shutdown {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        for id in &self.ids {
            let system = ComputeSystem::open(id).wait()?;
            self.limit.on(system.shut_down()).wait()?;
        }
        Ok(0)
    }
}
