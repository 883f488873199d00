//! `hcs terminate`.

use clap::Args;
use hcs::ComputeSystem;

use crate::{client, failure::Stop, options::systems::Systems};

/// Kill everything in a system and remove it
#[derive(Args, Debug)]
pub(crate) struct Terminate {
    #[command(flatten)]
    systems: Systems,
}

impl Terminate {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        client::each_but(
            &self.systems,
            "terminate",
            ComputeSystem::terminate,
            client::is_gone,
        )
    }
}
