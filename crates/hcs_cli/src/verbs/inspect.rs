//! `hcs inspect`: all that is known of a system.

use clap::Args;
use hcs::{
    ComputeSystem, Failure, HResult,
    documents::{State, SystemPropertyType},
    raw,
};
use serde_json::{Value, json};

use crate::{
    client,
    clock::Clock,
    complain,
    failure::Stop,
    options::limit::Limit,
    output::{JsonOption, print_json, printable},
    ports::{self, Port},
};

/// Print all that is known of a system as JSON: state, figures, processes, ports, and the document it was made from
///
/// It is a Properties document. Document in it is what the system was made from, with its layers, mounts and limits;
/// what was changed through the API afterwards is not in it. Ports are those of this machine that lead to the system.
///
/// Where nothing in the system answers, what is known without is printed, and the command fails.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hcs inspect box")]
pub(crate) struct Inspect {
    /// The system
    id: String,

    #[command(flatten)]
    json: JsonOption,

    #[command(flatten)]
    limit: Limit,
}

impl Inspect {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        let clock = self.limit.begin("inspect");
        let system = clock.open(&self.id)?;
        let stop = |failure| clock.stop(&self.id, failure);
        let shown = |wanted: &[SystemPropertyType]| -> Result<Value, Failure> {
            let mut document = properties(&system, wanted, clock)?;
            match ports::of(&system, clock) {
                Ok(ports) if ports.is_empty() => {}
                Ok(ports) => document["Ports"] = ports.iter().map(Port::json).collect(),
                // All else is known.
                Err(failure) => complain(&format!(
                    "hcs: Ports are left out, as the service does not tell them: {}\n",
                    printable(&failure.message)
                )),
            }
            Ok(document)
        };
        let unasked = match shown(&ALL) {
            Ok(document) => {
                print_json(&document)?;
                return Ok(0);
            }
            Err(failure) => failure,
        };
        let [outside @ .., _] = &ALL;
        match unasked.hresult {
            // Not started, or paused: no process inside can be asked.
            HResult::HCS_E_INVALID_STATE => {
                print_json(&shown(outside).map_err(stop)?)?;
                Ok(0)
            }
            // No process inside answers; the rest is known without.
            HResult::HCS_E_CONNECTION_TIMEOUT | HResult::HCS_E_CONNECTION_CLOSED => {
                print_json(&shown(outside).map_err(stop)?)?;
                Err(stop(unasked))
            }
            _ => Err(stop(unasked)),
        }
    }
}

/// What is shown; the last is the one that the guest has to be asked for.
const ALL: [SystemPropertyType; 3] = [
    SystemPropertyType::Statistics,
    SystemPropertyType::TerminateOnLastHandleClosed,
    SystemPropertyType::ProcessList,
];

/// The document that the system was made from.
const DOCUMENT: &str = "Document";

/// The document that a system was made from.
///
/// # Errors
/// The service does not tell.
pub(crate) fn document(system: &ComputeSystem, clock: Clock) -> Result<Value, Failure> {
    let mut known = properties(system, &[], clock)?;
    Ok(known.get_mut(DOCUMENT).map(Value::take).unwrap_or_default())
}

/// The document as it is, not as a type: with properties that this program does not know yet.
fn properties(
    system: &ComputeSystem,
    wanted: &[SystemPropertyType],
    clock: Clock,
) -> Result<Value, Failure> {
    let mut query = serde_json::to_value(client::query(wanted)).unwrap_or_default();
    // Asked for by name, it fails alone: an older service does not have it.
    query["PropertyQueries"] = json!({ DOCUMENT: {} });
    let query = query.to_string();
    let operation = raw::Operation::new();
    clock.on_raw(&operation);
    let asked = system.raw().properties(&operation, Some(&query));
    let mut known: Value = client::read(client::finish(&operation, asked)?.as_deref())?;
    if let Some(known) = known.as_object_mut() {
        let mut responses = known.remove("PropertyResponses").unwrap_or_default();
        if let Some(document) = responses.pointer_mut(&format!("/{DOCUMENT}/Response")) {
            known.insert(DOCUMENT.to_owned(), document.take());
        }
        // The service leaves the state out until a system has run.
        known
            .entry("State")
            .or_insert_with(|| State::Created.to_string().into());
    }
    Ok(known)
}
