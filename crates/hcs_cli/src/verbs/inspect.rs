//! `hcs inspect`: all that is known of a system.

use clap::Args;
use hcs::{ComputeSystem, Failure, HResult, documents::SystemPropertyType, raw};
use serde_json::Value;

use crate::{client, clock::Clock, failure::Stop, options::limit::Limit, output::print_json};

/// Print all that is known of a system as JSON: state, figures, processes
#[derive(Args, Debug)]
pub(crate) struct Inspect {
    /// The system
    id: String,

    #[command(flatten)]
    limit: Limit,
}

impl Inspect {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        let clock = self.limit.begin("inspect");
        let system = clock.open(&self.id)?;
        let document = match properties(&system, &ALL, clock) {
            // Not started, or paused: nobody inside can be asked.
            Err(failure) if failure.hresult == HResult::HCS_E_INVALID_STATE => {
                properties(&system, &[], clock)
            }
            other => other,
        };
        let document = document.map_err(|failure| clock.stop(&self.id, failure))?;
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
fn properties(
    system: &ComputeSystem,
    wanted: &[SystemPropertyType],
    clock: Clock,
) -> Result<Value, Failure> {
    let query = client::text(&client::query(wanted))?;
    let operation = raw::Operation::new();
    clock.on_raw(&operation);
    let asked = system.raw().properties(&operation, Some(&query));
    client::read(client::finish(&operation, asked)?.as_deref())
}
