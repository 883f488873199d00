//! The machine in one line, for reports.

use std::fs;

/// Processor, number of processors, kernel.
pub(crate) fn describe() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo
        .lines()
        .find(|l| l.starts_with("model name"))
        .and_then(|l| l.split_once(':'));
    let model = model.map_or("unknown processor", |(_, name)| name.trim());
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "{model}, {count} CPUs, Linux {}",
        read("/proc/sys/kernel/osrelease").trim()
    )
}
