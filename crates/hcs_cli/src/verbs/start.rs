//! `hcs start`.

use clap::Args;
use hcs::ComputeSystem;

use crate::{failure::Stop, options::limit::Limit};

/// Start a created system; it then waits for commands (exec)
#[derive(Args, Debug)]
pub(crate) struct Start {
    /// The systems
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,

    #[command(flatten)]
    limit: Limit,
}

impl Start {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        for id in &self.ids {
            let system = ComputeSystem::open(id).wait()?;
            self.limit.on(system.start()).wait()?;
        }
        Ok(0)
    }
}
