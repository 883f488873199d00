//! The memory of the host and of machines, in the words of the schema.

use std::{fs, io};

use hcs_schema::documents::VmMemory;

/// Bytes of a page, as the schema counts memory.
const PAGE: u64 = 4096;

/// Memory of the host, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostMemory {
    /// All there is.
    pub total: u64,
    /// What can be had without taking it from others.
    pub available: u64,
}

/// Reads how much memory the host has now.
///
/// # Errors
/// The kernel does not tell.
pub fn host_memory() -> io::Result<HostMemory> {
    let text = fs::read_to_string("/proc/meminfo")?;
    parse_memory(&text).ok_or_else(|| io::Error::other("/proc/meminfo has no totals"))
}

fn parse_memory(text: &str) -> Option<HostMemory> {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kibibytes * 1024)
    };
    Some(HostMemory {
        total: field("MemTotal:")?,
        available: field("MemAvailable:")?,
    })
}

/// The memory of a machine that a control group accounts for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupMemory {
    /// Bytes in use.
    pub used: u64,
    /// The limit in bytes, where there is one.
    pub limit: Option<u64>,
    /// Whether some of it is swapped out.
    pub swapped: bool,
}

impl GroupMemory {
    /// The property `Memory`, with all members, as Windows answers it. Nothing is set aside for such a machine, its
    /// guest keeps no buffer free, and the host does not move memory between it and others. Without `host`, only the
    /// limit counts.
    #[must_use]
    pub fn document(self, host: Option<HostMemory>) -> VmMemory {
        let percent = |free: u64, whole: u64| {
            let percent = u128::from(free) * 100 / u128::from(whole.max(1));
            i32::try_from(percent).unwrap_or(100).min(100)
        };
        let of_host = host.map_or(0, |host| percent(host.available, host.total));
        let available = match self.limit {
            // What the limit leaves may be more than the host has.
            Some(limit) => percent(limit.saturating_sub(self.used), limit).min(match host {
                Some(host) => percent(host.available, limit),
                None => 100,
            }),
            None => of_host,
        };
        VmMemory {
            available_memory: Some(available),
            available_memory_buffer: Some(0),
            reserved_memory: Some(0),
            assigned_memory: Some(self.used.div_ceil(PAGE)),
            slp_active: Some(self.swapped),
            balancing_enabled: Some(false),
            dm_operation_in_progress: Some(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_what_the_kernel_says() {
        let text = "MemTotal:       16000 kB\nMemFree:  1 kB\nMemAvailable:    8000 kB\n";
        let expected = HostMemory {
            total: 16_384_000,
            available: 8_192_000,
        };
        assert_eq!(parse_memory(text), Some(expected));
        assert_eq!(parse_memory("MemTotal: 1 kB\n"), None);
        let host = host_memory().unwrap();
        assert!(host.total > host.available);
    }

    #[test]
    fn the_memory_of_a_group_has_all_members() {
        let host = HostMemory {
            total: 1000 * PAGE,
            available: 500 * PAGE,
        };
        let limited = GroupMemory {
            used: 25 * PAGE,
            limit: Some(100 * PAGE),
            swapped: true,
        };
        let memory = limited.document(Some(host));
        let document = serde_json::to_value(&memory).unwrap();
        assert_eq!(document.as_object().unwrap().len(), 7, "{document}");
        assert_eq!(memory.available_memory, Some(75));
        assert_eq!(memory.assigned_memory, Some(25));
        assert_eq!(memory.slp_active, Some(true));
        let free = GroupMemory {
            used: 25 * PAGE,
            ..GroupMemory::default()
        };
        assert_eq!(free.document(Some(host)).available_memory, Some(50));
        let above = GroupMemory {
            used: 200 * PAGE,
            ..limited
        };
        assert_eq!(above.document(None).available_memory, Some(0));
    }
}
