//! `hcs resume`.

use clap::Args;
use hcs::ComputeSystem;

use crate::{client, failure::Stop, options::systems::Systems};

/// Let a paused system run on
#[derive(Args, Debug)]
pub(crate) struct Resume {
    #[command(flatten)]
    systems: Systems,
}

impl Resume {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        client::each(&self.systems, "resume", ComputeSystem::resume)
    }
}
