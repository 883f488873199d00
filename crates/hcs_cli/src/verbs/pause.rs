//! `hcs pause`.

use clap::Args;
use hcs::ComputeSystem;

use crate::{client, failure::Stop, options::systems::Systems};

/// Freeze all processes of a running system
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hcs pause box
  hcs pause box other")]
pub(crate) struct Pause {
    #[command(flatten)]
    systems: Systems,
}

impl Pause {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        client::each(&self.systems, "pause", ComputeSystem::pause)
    }
}
