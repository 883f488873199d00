//! What a container has used, from the accounts of its groups.

use std::path::Path;

use hcs_engine::{
    engine::{MemoryKills, ProcessRefusals},
    memory::GroupMemory,
};

use super::{ControlGroups, Home, detect::Controller, files};

/// A limit of memory from which on there is none: version 1 has a number for that.
const UNLIMITED: u64 = 1 << 60;

/// Units of 100 ns, as HCS counts time, per second.
pub(crate) const TICKS_PER_SECOND: u64 = 10_000_000;

/// Processor time in units of 100 ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CpuUse {
    pub(crate) total: u64,
    pub(crate) user: u64,
    pub(crate) kernel: u64,
}

impl CpuUse {
    /// Version 1 counts the whole exactly and its parts by ticks, so the parts may come out larger. They then keep
    /// their proportion within the whole, as version 2 has them.
    fn within(total: u64, user: u64, kernel: u64) -> Self {
        let sum = u128::from(user) + u128::from(kernel);
        if sum <= u128::from(total) {
            return Self {
                total,
                user,
                kernel,
            };
        }
        let user = u64::try_from(u128::from(total) * u128::from(user) / sum).unwrap_or(total);
        Self {
            total,
            user,
            kernel: total.saturating_sub(user),
        }
    }
}

/// Memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MemoryUse {
    pub(crate) now: u64,
    pub(crate) peak: u64,
    /// What only this container has: anonymous memory.
    pub(crate) private: u64,
}

/// Requests to block devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct IoUse {
    pub(crate) reads: u64,
    pub(crate) read_bytes: u64,
    pub(crate) writes: u64,
    pub(crate) written_bytes: u64,
}

impl ControlGroups {
    /// Processor time used; `None` where the host does not account for it.
    pub(crate) fn cpu_use(&self) -> Option<CpuUse> {
        if let Some(Home::V1(at)) = self.home(Controller::Cpuacct) {
            let user = files::read_number(at, "cpuacct.usage_user").ok()? / 100;
            let kernel = files::read_number(at, "cpuacct.usage_sys").ok()? / 100;
            let total = files::read_number(at, "cpuacct.usage").ok()? / 100;
            return Some(CpuUse::within(total, user, kernel));
        }
        let text = files::read(self.unified.as_deref()?, "cpu.stat").ok()?;
        parse_cpu_stat(&text)
    }

    /// Memory used; `None` where the host does not account for it.
    pub(crate) fn memory_use(&self) -> Option<MemoryUse> {
        match self.home(Controller::Memory)? {
            Home::V1(at) => {
                let stat = files::read(at, "memory.stat").ok()?;
                Some(MemoryUse {
                    now: files::read_number(at, "memory.usage_in_bytes").ok()?,
                    peak: files::read_number(at, "memory.max_usage_in_bytes").ok()?,
                    private: files::value_of(&stat, "total_rss").unwrap_or_default(),
                })
            }
            Home::V2(at) => {
                let stat = files::read(at, "memory.stat").ok()?;
                let now = files::read_number(at, "memory.current").ok()?;
                Some(MemoryUse {
                    now,
                    // Linux 5.19.
                    peak: files::read_number(at, "memory.peak").unwrap_or(now),
                    private: files::value_of(&stat, "anon").unwrap_or_default(),
                })
            }
        }
    }

    /// How much memory it uses and may use, and whether some of it is swapped out.
    /// `None` where the host does not account for it.
    pub(crate) fn memory(&self) -> Option<GroupMemory> {
        let (at, limit) = match self.home(Controller::Memory)? {
            Home::V1(at) => (at, "memory.limit_in_bytes"),
            Home::V2(at) => (at, "memory.max"),
        };
        // Version 1 has it among the statistics, version 2 in a file of its own; neither where swap is not accounted
        // for.
        let swapped = files::read_number(at, "memory.swap.current")
            .ok()
            .or_else(|| {
                let stat = files::read(at, "memory.stat").ok()?;
                files::value_of(&stat, "total_swap")
            });
        Some(GroupMemory {
            used: self.memory_use()?.now,
            limit: read_limit(at, limit),
            swapped: swapped.is_some_and(|bytes| bytes > 0),
        })
    }

    /// Block device requests; `None` where the host does not account for them.
    pub(crate) fn io_use(&self) -> Option<IoUse> {
        match self.home(Controller::Io)? {
            Home::V1(at) => {
                let bytes = files::read(at, "blkio.throttle.io_service_bytes").ok()?;
                let requests = files::read(at, "blkio.throttle.io_serviced").ok()?;
                Some(parse_blkio(&bytes, &requests))
            }
            Home::V2(at) => Some(parse_io_stat(&files::read(at, "io.stat").ok()?)),
        }
    }

    /// What the kernel killed in the container for want of memory.
    pub(crate) fn memory_kills(&self) -> MemoryKills {
        let (at, file, limit) = match self.home(Controller::Memory) {
            None => return MemoryKills::default(),
            Some(Home::V1(at)) => (at, "memory.oom_control", "memory.limit_in_bytes"),
            Some(Home::V2(at)) => (at, "memory.events", "memory.max"),
        };
        let text = files::read(at, file).unwrap_or_default();
        let count = files::value_of(&text, "oom_kill").unwrap_or_default();
        if count == 0 {
            return MemoryKills::default();
        }
        MemoryKills {
            count,
            limit: read_limit(at, limit),
        }
    }
}

impl ControlGroups {
    /// The processes and threads that the kernel refused the container.
    pub(crate) fn process_refusals(&self) -> ProcessRefusals {
        let Some(Home::V1(at) | Home::V2(at)) = self.home(Controller::Pids) else {
            return ProcessRefusals::default();
        };
        let text = files::read(at, "pids.events").unwrap_or_default();
        let count = files::value_of(&text, "max").unwrap_or_default();
        if count == 0 {
            return ProcessRefusals::default();
        }
        ProcessRefusals {
            count,
            limit: read_limit(at, "pids.max"),
        }
    }
}

/// "max", or for version 1 the largest number of pages, is no limit.
fn read_limit(at: &Path, file: &str) -> Option<u64> {
    let limit = files::read_number(at, file).ok();
    limit.filter(|limit| *limit < UNLIMITED)
}

/// `cpu.stat` of version 2, in microseconds.
pub(crate) fn parse_cpu_stat(text: &str) -> Option<CpuUse> {
    let ticks =
        |key| files::value_of(text, key).map(|microseconds| microseconds.saturating_mul(10));
    Some(CpuUse {
        total: ticks("usage_usec")?,
        user: ticks("user_usec")?,
        kernel: ticks("system_usec")?,
    })
}

/// `io.stat` of version 2: one line per device, `8:0 rbytes=1 wbytes=2 rios=3 wios=4 ...`.
pub(crate) fn parse_io_stat(text: &str) -> IoUse {
    let sum = |key: &str| {
        let fields = text.lines().flat_map(|line| line.split(' '));
        let values =
            fields.filter_map(|field| field.strip_prefix(key)?.strip_prefix('=')?.parse().ok());
        values.fold(0, u64::saturating_add)
    };
    IoUse {
        reads: sum("rios"),
        read_bytes: sum("rbytes"),
        writes: sum("wios"),
        written_bytes: sum("wbytes"),
    }
}

/// The two `blkio.throttle` files of version 1: lines of device, direction and number, `8:0 Read 1`.
pub(crate) fn parse_blkio(bytes: &str, requests: &str) -> IoUse {
    let sum = |text: &str, direction: &str| {
        let values = text.lines().filter_map(|line| {
            let mut fields = line.split(' ');
            let wanted = fields.nth(1)? == direction;
            wanted.then(|| fields.next()?.parse().ok()).flatten()
        });
        values.fold(0, u64::saturating_add)
    };
    IoUse {
        reads: sum(requests, "Read"),
        read_bytes: sum(bytes, "Read"),
        writes: sum(requests, "Write"),
        written_bytes: sum(bytes, "Write"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_processor_time_are_never_more_than_the_whole() {
        for (total, user, kernel) in [(100, 60, 41), (100, 300, 0), (0, 1, 1), (7, 3, u64::MAX)] {
            let shown = CpuUse::within(total, user, kernel);
            assert_eq!(shown.total, total);
            assert!(shown.user + shown.kernel <= total, "{shown:?}");
        }
        let exact = CpuUse::within(100, 60, 40);
        assert_eq!((exact.user, exact.kernel), (60, 40));
    }

    #[test]
    fn microseconds_become_ticks() {
        let text = "usage_usec 30\nuser_usec 20\nsystem_usec 10\nnr_periods 0\n";
        assert_eq!(
            parse_cpu_stat(text),
            Some(CpuUse {
                total: 300,
                user: 200,
                kernel: 100
            })
        );
        assert_eq!(parse_cpu_stat("usage_usec x"), None);
    }

    #[test]
    fn devices_are_added_up() {
        let expected = IoUse {
            reads: 4,
            read_bytes: 40,
            writes: 6,
            written_bytes: 60,
        };
        let v2 = "8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n8:16 rbytes=30 wbytes=40 rios=3 wios=4\n";
        assert_eq!(parse_io_stat(v2), expected);
        let bytes =
            "8:0 Read 10\n8:0 Write 20\n8:16 Read 30\n8:16 Write 40\n8:16 Total 70\nTotal 100\n";
        let requests = "8:0 Read 1\n8:0 Write 2\n8:16 Read 3\n8:16 Write 4\nTotal 10\n";
        assert_eq!(parse_blkio(bytes, requests), expected);
    }
}
