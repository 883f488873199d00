//! `hcs inspect`: all that is known of a system.

use clap::Args;
use hcs::{ComputeSystem, Failure, documents::SystemPropertyType, raw};

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
        let query = client::query(&[
            SystemPropertyType::Statistics,
            SystemPropertyType::ProcessList,
            SystemPropertyType::TerminateOnLastHandleClosed,
        ]);
        // The document as it is, not as a type: with properties that this program does not know yet.
        let operation = raw::Operation::new();
        let asked = system
            .raw()
            .properties(&operation, Some(&client::text(&query)?));
        asked.map_err(|hresult| Failure::new(hresult, ""))?;
        let document = operation
            .wait(None)
            .map_err(|error| Failure::from(&error))?;
        print_json(&client::read(document.as_deref())?)?;
        Ok(0)
    }
}
