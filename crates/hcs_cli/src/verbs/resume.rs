//! `hcs resume`.

use clap::Args;
use hcs::ComputeSystem;

use crate::{client, failure::Stop, options::systems::Systems};

/// Resume the processes of a paused system
#[derive(Args, Debug)]
#[command(
    visible_alias = "unpause",
    after_help = "\
Examples:
  hcs resume box
  hcs resume box other"
)]
pub(crate) struct Resume {
    #[command(flatten)]
    systems: Systems,
}

impl Resume {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        client::each(&self.systems, "resume", ComputeSystem::resume)
    }
}
