//! `hcs terminate`.

use clap::Args;
use hcs::ComputeSystem;

use crate::{client, failure::Stop, options::systems::Ending};

/// Kill everything in a system and remove it
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hcs terminate box other
  hcs terminate --all              everything that hcs list shows")]
pub(crate) struct Terminate {
    #[command(flatten)]
    ending: Ending,
}

impl Terminate {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        client::end(
            &self.ending,
            "terminate",
            ComputeSystem::terminate,
            client::is_gone,
        )
    }
}
