//! `hcs service`: the service itself.

use clap::Args;
use hcs::{Failure, raw};

use crate::{client, failure::Stop, output::print_json};

/// The query for what can always be had.
const BASIC: &str = r#"{"PropertyTypes": ["Basic"]}"#;

/// Print what the service says of itself as JSON
#[derive(Args, Debug)]
pub(crate) struct Service {}

impl Service {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        let document =
            raw::service_properties(Some(BASIC)).map_err(|error| Failure::from(&error))?;
        print_json(&client::read(document.as_deref())?)?;
        Ok(0)
    }
}
