//! `hcs shutdown`.

use clap::Args;
use hcs::ComputeSystem;

use crate::{client, failure::Stop, options::systems::Ending};

/// Ask everything in a system to end (by SIGTERM, or its stop signal), then remove it; fails, and leaves it running,
/// when that takes too long
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hcs shutdown box
  hcs shutdown --all --timeout 30")]
pub(crate) struct Shutdown {
    #[command(flatten)]
    ending: Ending,
}

impl Shutdown {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        client::end(&self.ending, "shutdown", ComputeSystem::shut_down, |_| {
            false
        })
    }
}
