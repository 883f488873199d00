//! The processors of this host. Read when asked for, since they can change. What the host offers to machines, their
//! engines know (`Engine::offers`).

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use hcs_schema::documents::{LogicalProcessor, ProcessorTopology};
use rustix::thread::{CpuSet, sched_getaffinity};

/// Where the kernel tells of processors.
const PROCESSORS: &str = "/sys/devices/system/cpu";

/// The processors that the service, and so its systems, may run on, by index.
///
/// # Errors
/// The kernel does not say.
pub(crate) fn processors() -> io::Result<Vec<u32>> {
    let allowed = sched_getaffinity(None)?;
    let indexes = 0..u32::try_from(CpuSet::MAX_CPU).unwrap_or(u32::MAX);
    Ok(indexes
        .filter(|index| allowed.is_set(*index as usize))
        .collect())
}

/// Where each of them is in the machine.
///
/// # Errors
/// The kernel does not say.
pub(crate) fn topology() -> io::Result<ProcessorTopology> {
    let all: Vec<LogicalProcessor> = processors()?.into_iter().map(processor).collect();
    Ok(ProcessorTopology {
        logical_processor_count: u32::try_from(all.len()).ok(),
        logical_processors: Some(all),
    })
}

fn processor(index: u32) -> LogicalProcessor {
    let directory = PathBuf::from(format!("{PROCESSORS}/cpu{index}"));
    let number = |file: &str| {
        let text = fs::read_to_string(directory.join("topology").join(file)).ok()?;
        text.trim().parse().ok()
    };
    LogicalProcessor {
        lp_index: Some(index),
        // A kernel that knows no nodes has one.
        node_number: Some(node(&directory).unwrap_or(0)),
        package_id: number("physical_package_id"),
        core_id: number("core_id"),
        // There is no partition between this host and its processors.
        root_vp_index: i32::try_from(index).ok(),
        subnodes: None,
    }
}

/// The NUMA node, by the link of that name.
fn node(directory: &Path) -> Option<u8> {
    let mut names = fs::read_dir(directory).ok()?.flatten();
    names.find_map(|entry| {
        let name = entry.file_name();
        name.to_str()?.strip_prefix("node")?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processors_are_those_this_process_may_use() {
        let topology = topology().unwrap();
        let all = topology.logical_processors.unwrap();
        let usable = std::thread::available_parallelism().unwrap().get();
        assert!(all.len() >= usable, "{all:?}");
        assert_eq!(
            topology.logical_processor_count,
            u32::try_from(all.len()).ok()
        );
        assert!(all.is_sorted_by_key(|processor| processor.lp_index));
        let indexes: Vec<u32> = all.iter().filter_map(|p| p.lp_index).collect();
        assert_eq!(indexes, processors().unwrap());
    }
}
