//! `hcs start`.

use clap::Args;
use hcs::ComputeSystem;

use crate::{client, failure::Stop, options::systems::Systems};

/// Start a created system; it then waits for commands (exec)
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hcs start box
  hcs create --id box && hcs start box && hcs exec box -- uname -a")]
pub(crate) struct Start {
    #[command(flatten)]
    systems: Systems,
}

impl Start {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        client::each(&self.systems, "start", ComputeSystem::start)
    }
}
