//! The machine and how busy it is, for reports.

use std::{fs, path::Path};

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The value of the first line of `text` that starts with `key`, behind its colon.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| line.starts_with(key))?;
    Some(line.split_once(':')?.1.trim())
}

/// Processor, number of processors, memory, kernel, layout of control groups, file system of the containers' root.
pub(crate) fn describe(folder: &Path) -> String {
    let cpuinfo = read("/proc/cpuinfo");
    let model = value(&cpuinfo, "model name").unwrap_or("unknown processor");
    let virtual_machine = value(&cpuinfo, "flags").is_some_and(|f| f.contains(" hypervisor"));
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = value(&read("/proc/meminfo"), "MemTotal")
        .and_then(|text| text.split(' ').next()?.parse::<u64>().ok())
        .unwrap_or_default();
    let release = read("/proc/sys/kernel/osrelease");
    // What a builder of kernels appends says nothing about speed.
    let kernel = release.split(['-', '+']).next().unwrap_or_default();
    format!(
        "{model}, {count} CPUs{}, {} GB of memory, Linux {}, control groups {}, root directory on {}",
        if virtual_machine {
            " of a virtual machine"
        } else {
            ""
        },
        (memory + (1 << 19)) >> 20,
        kernel.trim(),
        control_groups(),
        file_system(folder),
    )
}

fn control_groups() -> &'static str {
    let mounts = read("/proc/self/mounts");
    let has = |kind: &str| mounts.lines().any(|m| m.split(' ').nth(2) == Some(kind));
    if has("cgroup") { "v1" } else { "v2" }
}

/// The type of the file system that has `folder`.
fn file_system(folder: &Path) -> String {
    let mounts = read("/proc/self/mounts");
    let best = mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let point = words.nth(1)?;
            folder.starts_with(point).then_some((point, words.next()?))
        })
        .max_by_key(|(point, _)| point.len());
    best.map_or("an unknown file system", |(_, kind)| kind)
        .to_owned()
}

/// How many processes wanted to run, on average over the last minute.
pub(crate) fn load() -> String {
    let load = read("/proc/loadavg");
    load.split(' ').next().unwrap_or("?").to_owned()
}
