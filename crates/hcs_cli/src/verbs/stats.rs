//! `hcs stats`: what a system has used.

use clap::Args;
use hcs::documents::{Statistics, SystemPropertyType};

use super::ps::{mebibytes, seconds};
use crate::{
    client,
    failure::Stop,
    options::limit::Limit,
    output::{Format, FormatOption, print, print_json, table},
};

/// Show what a system has used: processor time, memory, input and output
#[derive(Args, Debug)]
pub(crate) struct Stats {
    /// The system
    id: String,

    #[command(flatten)]
    format: FormatOption,

    #[command(flatten)]
    limit: Limit,
}

impl Stats {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        let clock = self.limit.begin("stats");
        let properties = client::property(&self.id, SystemPropertyType::Statistics, clock)?;
        let statistics = properties.statistics.unwrap_or_default();
        match self.format.format {
            Format::Json => print_json(&statistics)?,
            Format::Table => print(&text(&statistics))?,
        }
        Ok(0)
    }
}

fn text(statistics: &Statistics) -> String {
    let processor = statistics.processor.clone().unwrap_or_default();
    let memory = statistics.memory.clone().unwrap_or_default();
    let storage = statistics.storage.clone().unwrap_or_default();
    let row = [
        seconds(statistics.uptime100ns.unwrap_or_default()),
        seconds(processor.total_runtime100ns.unwrap_or_default()),
        mebibytes(memory.memory_usage_commit_bytes.unwrap_or_default()),
        mebibytes(memory.memory_usage_commit_peak_bytes.unwrap_or_default()),
        mebibytes(storage.read_size_bytes.unwrap_or_default()),
        mebibytes(storage.write_size_bytes.unwrap_or_default()),
    ];
    table(
        ["UPTIME", "CPU", "MEMORY", "PEAK", "READ", "WRITTEN"],
        &[row],
    )
}
