//! `hcs inspect`: all that is known of a system.

use clap::Args;
use hcs_schema::documents::SystemPropertyType;
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
        let system = client::open(&self.id)?;
        let wanted = [
            SystemPropertyType::Statistics,
            SystemPropertyType::ProcessList,
            SystemPropertyType::TerminateOnLastHandleClosed,
        ];
        let document = client::properties(&system, &wanted)?;
        // As the service sent it: with properties that this program does not know yet.
        let document: Value = client::read_value(&document)?;
        print_json(&document)?;
        Ok(0)
    }
}
