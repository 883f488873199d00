//! `hcs service`: the service itself.

use clap::Args;
use hcs::{Failure, raw};

use crate::{client, failure::Stop, output::print_json};

/// Print what the service says of itself as JSON
#[derive(Args, Debug)]
pub(crate) struct Service {}

impl Service {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        let document = raw::service_properties(None).map_err(|error| Failure::from(&error))?;
        print_json(&client::read(document.as_deref())?)?;
        Ok(0)
    }
}
