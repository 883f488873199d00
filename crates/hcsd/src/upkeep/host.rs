//! What is true of this host: its processors, its memory, what its kernel offers. Read when asked for, since all of it
//! can change; parsing is apart from reading.

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

/// Memory of the host, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) total: u64,
    /// What can be had without taking it from others.
    pub(crate) available: u64,
}

/// Reads it.
///
/// # Errors
/// The kernel does not say.
pub(crate) fn memory() -> io::Result<Memory> {
    let text = fs::read_to_string("/proc/meminfo")?;
    parse_memory(&text).ok_or_else(|| io::Error::other("/proc/meminfo has no totals"))
}

fn parse_memory(text: &str) -> Option<Memory> {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kibibytes * 1024)
    };
    Some(Memory {
        total: field("MemTotal:")?,
        available: field("MemAvailable:")?,
    })
}

/// What the kernel offers to containers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kernel {
    /// Controllers of control groups, by version, in their order of name.
    pub(crate) v1: Vec<String>,
    pub(crate) v2: Vec<String>,
    pub(crate) unified: bool,
    pub(crate) overlayfs: bool,
    /// How many user namespaces may be made; 0 where they are switched off or not built in.
    pub(crate) user_namespaces: u64,
}

/// Looks.
pub(crate) fn kernel() -> Kernel {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let mounts = read("/proc/self/mountinfo");
    let unified = mount_of_unified(&mounts);
    let v2 = unified
        .as_deref()
        .map(|mount| fs::read_to_string(mount.join("cgroup.controllers")).unwrap_or_default())
        .unwrap_or_default();
    let mut v2: Vec<String> = v2.split_whitespace().map(str::to_owned).collect();
    v2.sort();
    Kernel {
        v1: v1_controllers(&mounts),
        v2,
        unified: unified.is_some(),
        overlayfs: read("/proc/filesystems")
            .lines()
            .any(|line| line.ends_with("\toverlay")),
        user_namespaces: read("/proc/sys/user/max_user_namespaces")
            .trim()
            .parse()
            .unwrap_or(0),
    }
}

/// Type and super options of a mount, and its mount point (`proc_pid_mountinfo(5)`).
fn mounts(text: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    text.lines().filter_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        let mut kind = kind.split(' ');
        Some((place.split(' ').nth(4)?, kind.next()?, kind.nth(1)?))
    })
}

fn mount_of_unified(text: &str) -> Option<PathBuf> {
    mounts(text)
        .find(|(_, kind, _)| *kind == "cgroup2")
        .map(|(point, ..)| PathBuf::from(point))
}

fn v1_controllers(text: &str) -> Vec<String> {
    const KNOWN: [&str; 8] = [
        "blkio", "cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids",
    ];
    let options = mounts(text).filter(|(_, kind, _)| *kind == "cgroup");
    let mut found: Vec<String> = options
        .flat_map(|(_, _, options)| options.split(','))
        .filter(|option| KNOWN.contains(option))
        .map(str::to_owned)
        .collect();
    found.sort();
    found.dedup();
    found
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

    #[test]
    fn memory_is_what_the_kernel_says() {
        let text = "MemTotal:       16000 kB\nMemFree:  1 kB\nMemAvailable:    8000 kB\n";
        let expected = Memory {
            total: 16_384_000,
            available: 8_192_000,
        };
        assert_eq!(parse_memory(text), Some(expected));
        assert_eq!(parse_memory("MemTotal: 1 kB\n"), None);
        assert!(memory().unwrap().total > memory().unwrap().available);
    }

    #[test]
    fn controllers_are_found_in_the_mounts() {
        let text = "30 25 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
                    31 25 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
                    32 25 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        assert_eq!(v1_controllers(text), ["cpu", "cpuacct", "memory"]);
        let unified = Path::new("/sys/fs/cgroup/unified");
        assert_eq!(mount_of_unified(text).as_deref(), Some(unified));
        assert_eq!(mount_of_unified("nonsense\n"), None);
    }
}
