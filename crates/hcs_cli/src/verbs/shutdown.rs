//! `hcs shutdown`.

use clap::Args;
use hcs::ComputeSystem;

use crate::{client, failure::Stop, options::systems::Systems};

/// Ask everything in a system to end (SIGTERM), then remove it; fails, and leaves it running, when that takes too long
#[derive(Args, Debug)]
pub(crate) struct Shutdown {
    #[command(flatten)]
    systems: Systems,
}

impl Shutdown {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        client::each(&self.systems, "shutdown", ComputeSystem::shut_down)
    }
}
