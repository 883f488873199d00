//! `hcs service`: the service itself.

use clap::Args;
use serde_json::Value;

use crate::{client, failure::Stop, output::print_json};

/// Print what the service says of itself as JSON
#[derive(Args, Debug)]
pub(crate) struct Service {}

impl Service {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        let document = client::service(None)?;
        let value: Value = client::read_value(document.as_deref().unwrap_or("{}"))?;
        print_json(&value)?;
        Ok(0)
    }
}
