//! `hcs start`.

use clap::Args;

use crate::{client, failure::Stop};

/// Start a created system; it then waits for commands (exec)
#[derive(Args, Debug)]
pub(crate) struct Start {
    /// The systems
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
}

impl Start {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        for id in &self.ids {
            let system = client::open(id)?;
            client::call(|operation| system.start(operation, None))?;
        }
        Ok(0)
    }
}
