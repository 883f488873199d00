//! `hcs stats`: what a system has used.

use clap::Args;
use hcs::documents::{NetworkStats, Properties, Statistics, SystemPropertyType};

use super::ps::{self, mebibytes, seconds};
use crate::{
    client,
    failure::Stop,
    options::limit::Limit,
    output::{Format, FormatOption, print, print_json, table},
};

/// Show what a system has used, or all systems: processor time, memory, input and output, networks
///
/// Without an ID all systems are listed; as JSON that is a list of their Properties with their Statistics. The figures
/// are those of now; `watch hcs stats` shows them again and again.
///
/// n/a stands for what the host does not count: for most figures that is so where the service runs as an ordinary user,
/// who has no control groups. What went through networks is the sum over the system's endpoints; the JSON has each of
/// them, with its packets and those that were dropped. A system without endpoints has none.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hcs stats                        all systems
  hcs stats box
  hcs stats box --json")]
pub(crate) struct Stats {
    /// The system [default: all systems]
    id: Option<String>,

    /// All systems, as without ID
    #[arg(long, short, conflicts_with = "id", hide = true)]
    all: bool,

    /// Print the figures once, as without this option
    #[arg(long, hide = true)]
    no_stream: bool,

    #[command(flatten)]
    format: FormatOption,

    #[command(flatten)]
    limit: Limit,
}

impl Stats {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        let clock = self.limit.begin("stats");
        let Some(id) = &self.id else {
            let (systems, failed) = ps::all(SystemPropertyType::Statistics, clock)?;
            match self.format.chosen() {
                Format::Json => print_json(&systems)?,
                Format::Table => print(&text_of_all(&systems))?,
            }
            return failed.map_or(Ok(0), Err);
        };
        let properties = client::property(id, SystemPropertyType::Statistics, clock)?;
        let statistics = properties.statistics.unwrap_or_default();
        match self.format.chosen() {
            Format::Json => print_json(&statistics)?,
            Format::Table => print(&text(&statistics))?,
        }
        Ok(0)
    }
}

/// What stands for a figure that the host does not count.
const UNCOUNTED: &str = "n/a";

const HEAD: [&str; 9] = [
    "SYSTEM", "UPTIME", "CPU", "MEMORY", "PEAK", "READ", "WRITTEN", "RECEIVED", "SENT",
];

fn text(statistics: &Statistics) -> String {
    let ([_, head @ ..], [_, row @ ..]) = (HEAD, row(String::new(), statistics));
    table(head, &[row])
}

fn text_of_all(systems: &[Properties]) -> String {
    let rows = systems.iter().map(|system| {
        let none = Statistics::default();
        let statistics = system.statistics.as_ref().unwrap_or(&none);
        row(system.id.clone().unwrap_or_default(), statistics)
    });
    table(HEAD, &rows.collect::<Vec<_>>())
}

fn row(system: String, statistics: &Statistics) -> [String; 9] {
    let processor = statistics.processor.as_ref();
    let memory = statistics.memory.as_ref();
    let storage = statistics.storage.as_ref();
    let network = |amount: fn(&NetworkStats) -> Option<u64>| {
        let endpoints = statistics.network.as_ref()?.iter();
        let amounts = endpoints.map(|one| amount(one).unwrap_or(0));
        Some(amounts.fold(0, u64::saturating_add))
    };
    let time = |amount: Option<u64>| amount.map_or_else(|| UNCOUNTED.to_owned(), seconds);
    let bytes = |amount: Option<u64>| amount.map_or_else(|| UNCOUNTED.to_owned(), mebibytes);
    [
        system,
        time(statistics.uptime100ns),
        time(processor.and_then(|used| used.total_runtime100ns)),
        bytes(memory.and_then(|used| used.memory_usage_commit_bytes)),
        bytes(memory.and_then(|used| used.memory_usage_commit_peak_bytes)),
        bytes(storage.and_then(|used| used.read_size_bytes)),
        bytes(storage.and_then(|used| used.write_size_bytes)),
        bytes(network(|endpoint| endpoint.bytes_received)),
        bytes(network(|endpoint| endpoint.bytes_sent)),
    ]
}

#[cfg(test)]
mod tests {
    use hcs::documents::ProcessorStats;

    use super::*;

    #[test]
    fn what_is_not_counted_is_not_nothing() {
        let statistics = Statistics {
            uptime100ns: Some(25_000_000),
            processor: Some(ProcessorStats {
                total_runtime100ns: Some(0),
                ..ProcessorStats::default()
            }),
            ..Statistics::default()
        };
        let expected = "UPTIME  CPU    MEMORY  PEAK  READ  WRITTEN  RECEIVED  SENT\n\
                        2.50s   0.00s  n/a     n/a   n/a   n/a      n/a       n/a\n";
        assert_eq!(text(&statistics), expected);
    }

    #[test]
    fn what_went_through_all_endpoints_is_one_figure() {
        let endpoint = |received: u64, sent: u64| NetworkStats {
            bytes_received: Some(received << 20),
            bytes_sent: Some(sent << 20),
            ..NetworkStats::default()
        };
        let statistics = Statistics {
            network: Some(vec![endpoint(1, 2), endpoint(3, 4)]),
            ..Statistics::default()
        };
        let [.., received, sent] = row(String::new(), &statistics);
        assert_eq!((received, sent), (mebibytes(4 << 20), mebibytes(6 << 20)));
    }
}
