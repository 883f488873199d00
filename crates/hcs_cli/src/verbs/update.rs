//! `hcs update`: other limits for a container that runs.

use clap::{ArgGroup, Args};
use serde_json::json;

use crate::{
    failure::Stop,
    options::{
        Surroundings,
        limit::Limit,
        memory,
        processors::{self, Processors},
    },
};

/// Change the limits of a container that runs
///
/// Nothing that runs is ended for a lower limit of memory: when the container uses more, the limit stays as it was, and
/// the answer says how much is used. What is not named stays as it is. When the second of two changes fails, the first
/// one holds.
#[derive(Args, Debug)]
#[command(
    group = ArgGroup::new("limits").args(["memory", "cpus"]).required(true).multiple(true),
    after_help = "\
Examples:
  hcs update --memory 1G box
  hcs update --cpus 0.5 --memory 256 box"
)]
pub(crate) struct Update {
    /// The system
    id: String,

    /// Memory limit in megabytes, or as 2G
    #[arg(long, value_name = "MB", value_parser = memory::megabytes)]
    memory: Option<u64>,

    /// How many processors it may keep busy, such as 2 or 0.5
    #[arg(long, value_name = "N", value_parser = processors::parse)]
    cpus: Option<Processors>,

    #[command(flatten)]
    limit: Limit,
}

impl Update {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        let clock = self.limit.begin("update");
        let system = clock.open(&self.id)?;
        let here = Surroundings::here();
        let memory = self.memory.map(|megabytes| {
            json!({ "ResourcePath": "Container/Memory/SizeInMB", "RequestType": "Update", "Settings": megabytes })
        });
        let cpus = self.cpus.map(|cpus| {
            let settings = cpus.document(here.processors);
            json!({ "ResourcePath": "Container/Processor", "RequestType": "Update", "Settings": settings })
        });
        for request in [memory, cpus].into_iter().flatten() {
            clock.wait(&self.id, system.modify(&request))?;
        }
        Ok(0)
    }
}
