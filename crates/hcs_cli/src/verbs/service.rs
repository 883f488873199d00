//! `hcs service`: the service itself.

use clap::Args;
use hcs::{Failure, HResult, raw};
use serde_json::{Map, Value, json};

use crate::{
    client,
    failure::Stop,
    options::limit::Limit,
    output::{JsonOption, print_json},
};

/// Print what the service says of itself as JSON
#[derive(Args, Debug)]
#[command(
    visible_alias = "info",
    after_help = "\
Examples:
  hcs service
  hcs service Memory ProcessorTopology
  hcs service Capabilities       what is honoured of documents, and what containers see"
)]
pub(crate) struct Service {
    /// Properties: Basic, ProcessorTopology, Memory, CpuGroup, QoSCapabilities, and Capabilities, which says what is
    /// honoured of documents here, and why not
    #[arg(value_name = "PROPERTY")]
    properties: Vec<String>,

    #[command(flatten)]
    json: JsonOption,

    #[command(flatten)]
    limit: Limit,
}

impl Service {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        let wanted = self.properties.iter().map(|name| (name.clone(), json!({})));
        let wanted: Map<String, Value> = wanted.collect();
        let query = match wanted.is_empty() {
            true => json!({ "PropertyTypes": ["Basic"] }),
            false => json!({ "PropertyQueries": wanted }),
        };
        let operation = raw::Operation::new();
        let clock = self.limit.begin("service");
        clock.on_raw(&operation);
        let asked = raw::service_properties_by(Some(&query.to_string()), &operation);
        let document = client::finish(&operation, asked).map_err(|f| clock.stop("", f))?;
        let answer: Value = client::read(document.as_deref())?;
        print_json(&answer)?;
        match refused(&answer) {
            Some(failure) => Err(failure.into()),
            None => Ok(0),
        }
    }
}

/// The properties that were asked for and could not be had, each with the reason; the others are printed all the same.
fn refused(answer: &Value) -> Option<Failure> {
    let responses = answer.get("PropertyResponses")?.as_object()?;
    let mut errors = responses.iter().filter_map(|(name, response)| {
        let message = response.pointer("/Error/ErrorMessage")?.as_str()?;
        Some(format!("{name:?}: {message}"))
    });
    let first = Failure::new(
        HResult::E_INVALIDARG,
        format!("property {}", errors.next()?),
    );
    Some(errors.fold(first, |failure, error| {
        failure.cause(format!("property {error}"))
    }))
}
