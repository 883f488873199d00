//! `hcs pause`.

use clap::Args;

use crate::{client, failure::Stop};

/// Hold all processes of a running system
#[derive(Args, Debug)]
pub(crate) struct Pause {
    /// The systems
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
}

impl Pause {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        for id in &self.ids {
            let system = client::open(id)?;
            client::call(|operation| system.pause(operation, None))?;
        }
        Ok(0)
    }
}
