//! `hcs service`: the service itself.

use clap::Args;
use hcs::{Failure, raw};
use serde_json::{Map, Value, json};

use crate::{client, failure::Stop, output::print_json};

/// Print what the service says of itself as JSON
#[derive(Args, Debug)]
pub(crate) struct Service {
    /// Properties: Basic, ProcessorTopology, Memory, CpuGroup, QoSCapabilities, and Capabilities, which says what is
    /// honoured of documents here, and why not
    #[arg(value_name = "PROPERTY")]
    properties: Vec<String>,
}

impl Service {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        let wanted = self.properties.iter().map(|name| (name.clone(), json!({})));
        let wanted: Map<String, Value> = wanted.collect();
        let query = match wanted.is_empty() {
            true => json!({ "PropertyTypes": ["Basic"] }),
            false => json!({ "PropertyQueries": wanted }),
        };
        let document = raw::service_properties(Some(&query.to_string()))
            .map_err(|error| Failure::from(&error))?;
        print_json(&client::read(document.as_deref())?)?;
        Ok(0)
    }
}
