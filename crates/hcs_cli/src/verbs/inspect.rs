//! `hcs inspect`: all that is known of a system.

use clap::Args;
use hcs::{ComputeSystem, Failure, HResult, documents::SystemPropertyType, raw};
use serde_json::Value;

use crate::{client, failure::Stop, output::print_json};

/// Print all that is known of a system as JSON: state, figures, processes
#[derive(Args, Debug)]
pub(crate) struct Inspect {
    /// The system
    id: String,
}

impl Inspect {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        let system = ComputeSystem::open(&self.id).wait()?;
        let document = match properties(&system, &ALL) {
            // Not started, or paused: nobody inside can be asked.
            Err(failure) if failure.hresult == HResult::HCS_E_INVALID_STATE => {
                properties(&system, &[])?
            }
            other => other?,
        };
        print_json(&document)?;
        Ok(0)
    }
}

const ALL: [SystemPropertyType; 3] = [
    SystemPropertyType::Statistics,
    SystemPropertyType::ProcessList,
    SystemPropertyType::TerminateOnLastHandleClosed,
];

/// The document as it is, not as a type: with properties that this program does not know yet.
fn properties(system: &ComputeSystem, wanted: &[SystemPropertyType]) -> Result<Value, Failure> {
    let query = client::text(&client::query(wanted))?;
    let operation = raw::Operation::new();
    let asked = system.raw().properties(&operation, Some(&query));
    asked.map_err(|hresult| Failure::new(hresult, ""))?;
    let document = operation.wait(None);
    client::read(document.map_err(|error| Failure::from(&error))?.as_deref())
}
