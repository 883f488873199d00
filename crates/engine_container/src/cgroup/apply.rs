//! Writing a container's limits.

use std::path::Path;

use hcs_schema::{Failure, HResult};
use rustix::io::Errno;

use super::{
    ControlGroups, Home,
    detect::Controller,
    files,
    limits::{self, CpuLimits},
};
use crate::failure::StepError;

/// Controllers that a container's group in the unified hierarchy needs from the groups above it.
pub(super) const DELEGATED: [&str; 4] = ["memory", "cpu", "pids", "io"];

/// All limits of a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Memory in bytes, swap included.
    pub(crate) memory: Option<u64>,
    /// Processor time.
    pub(crate) cpu: CpuLimits,
    /// Processes and threads.
    pub(crate) pids: Option<u64>,
    /// Whether that is what the document asks for, not only what is configured.
    pub(crate) pids_asked: bool,
}

/// Has the groups from the hierarchy's root down to above `group` pass `controllers` on to those below. What the host
/// does not have, or does not let us pass on, is missing in `cgroup.controllers` of the group afterwards.
pub(super) fn delegate(mount: &Path, group: &Path, controllers: &[&str]) -> Result<(), StepError> {
    let mut ancestors: Vec<&Path> = group.ancestors().skip(1).collect();
    ancestors.retain(|ancestor| ancestor.starts_with(mount));
    for ancestor in ancestors.into_iter().rev() {
        super::make_directory(ancestor)?;
        let passed = files::read(ancestor, "cgroup.subtree_control")?;
        let available = files::read(ancestor, "cgroup.controllers")?;
        for name in controllers {
            let has = |list: &str| list.split_whitespace().any(|known| known == *name);
            if has(&available) && !has(&passed) {
                // One at a time: a refused one shall not keep the others back. A limit that then turns out to be
                // impossible is refused where it is asked for.
                let _refused =
                    files::write(ancestor, "cgroup.subtree_control", &format!("+{name}"));
            }
        }
    }
    Ok(())
}

impl ControlGroups {
    /// Takes back what a service that ended in the middle of lowering the limit of memory may have left.
    pub(crate) fn lift_hold(&self) {
        if let Some(Home::V2(at)) = self.home(Controller::Memory) {
            // Without it the container only has less than it may have.
            let _left = lift_high(at);
        }
    }

    /// Applies all limits.
    ///
    /// # Errors
    /// A limit the document asks for needs a controller that the host does not have, or the kernel refused it. The
    /// limit on processes is ours, so it is left out where the host has no controller for it.
    pub(crate) fn apply(&self, limits: &Limits) -> Result<(), Failure> {
        self.limit_memory(limits.memory)?;
        self.limit_cpu(limits.cpu)?;
        match (limits.pids, self.home(Controller::Pids)) {
            (Some(pids), Some(Home::V1(at) | Home::V2(at))) => {
                files::write(at, "pids.max", &pids.to_string()).map_err(|error| {
                    error.into_failure("the number of processes cannot be limited")
                })
            }
            (Some(_), None) if limits.pids_asked => Err(missing("pids", limits::PROCESSES)),
            _ => Ok(()),
        }
    }

    /// Limits memory and swap together to `bytes`.
    ///
    /// # Errors
    /// As for [`ControlGroups::apply`].
    pub(crate) fn limit_memory(&self, bytes: Option<u64>) -> Result<(), Failure> {
        let Some(bytes) = bytes else {
            return Ok(());
        };
        let written = match self.home(Controller::Memory) {
            None => return Err(missing("memory", limits::MEMORY)),
            Some(Home::V1(at)) => limit_memory_v1(at, bytes),
            Some(Home::V2(at)) => limit_memory_v2(at, bytes),
        };
        written.map_err(|error| {
            let busy = error.errno == Errno::BUSY;
            let used = self.memory_use().filter(|_| busy);
            let failure = error
                .asked_by(limits::MEMORY)
                .into_failure(format!("memory cannot be limited to {bytes} bytes"));
            match used {
                None => failure,
                Some(used) => failure.cause(format!(
                    "the container uses {} bytes, and the kernel cannot take them away (files in memory, such as those in \
                     /dev/shm, count): have it free some, or choose a higher limit",
                    used.now
                )),
            }
        })
    }

    /// Limits processor time.
    ///
    /// # Errors
    /// As for [`ControlGroups::apply`].
    pub(crate) fn limit_cpu(&self, cpu: CpuLimits) -> Result<(), Failure> {
        if cpu == CpuLimits::default() {
            return Ok(());
        }
        let written = match self.home(Controller::Cpu) {
            None => return Err(missing("cpu", limits::PROCESSOR)),
            Some(Home::V1(at)) => write_all(at, cpu_v1(cpu)),
            Some(Home::V2(at)) => write_all(at, cpu_v2(cpu)),
        };
        written.map_err(|error| {
            error
                .asked_by(limits::PROCESSOR)
                .into_failure("the processors cannot be limited as asked")
        })
    }
}

/// What to write into which file of a group, in this order.
type Writes = Vec<(&'static str, String)>;

fn write_all(at: &Path, writes: Writes) -> Result<(), StepError> {
    writes
        .into_iter()
        .try_for_each(|(file, value)| files::write(at, file, &value))
}

const MEMORY_AND_SWAP: &str = "memory.memsw.limit_in_bytes";

fn limit_memory_v1(at: &Path, bytes: u64) -> Result<(), StepError> {
    let with_swap = at.join(MEMORY_AND_SWAP).exists();
    let now = with_swap
        .then(|| files::read_number(at, MEMORY_AND_SWAP))
        .transpose()?;
    write_all(at, memory_v1(bytes, now))?;
    if !at.join(TCP).exists() {
        return Ok(());
    }
    match files::write(at, TCP, &bytes.to_string()) {
        // Sockets hold more: the limit that they had stays, and is not higher than that of memory was. Or this kernel
        // limits them no more.
        Err(error) if matches!(error.errno, Errno::BUSY | Errno::OPNOTSUPP) => Ok(()),
        written => written,
    }
}

/// What sockets of TCP hold, which version 1 does not count as memory of the container. All of the host share what
/// there is of it, so a container that takes much slows the connections of others down.
const TCP: &str = "memory.kmem.tcp.limit_in_bytes";

/// `now` is the present limit of memory and swap, where the host counts swap. The limit of memory must never be above
/// it, so the one that grows out of the way goes first.
fn memory_v1(bytes: u64, now: Option<u64>) -> Writes {
    let memory = ("memory.limit_in_bytes", bytes.to_string());
    let with_swap = (MEMORY_AND_SWAP, bytes.to_string());
    match now {
        None => vec![memory],
        Some(now) if now < bytes => vec![with_swap, memory],
        Some(_) => vec![memory, with_swap],
    }
}

fn limit_memory_v2(at: &Path, bytes: u64) -> Result<(), StepError> {
    let writes = || write_all(at, memory_v2(bytes, at.join(SWAP).exists()));
    let now = files::read_number(at, "memory.max").unwrap_or(u64::MAX);
    let has_room = || files::read_number(at, USED).is_ok_and(|used| used <= bytes / 2);
    if now <= bytes || has_room() {
        // An earlier service may have ended while it lowered the limit.
        return writes().and_then(|()| lift_high(at));
    }
    // The kernel ends processes until the rest fits below the limit. Below this one it only takes away what can be had
    // back, and holds up who asks for more meanwhile.
    files::write(at, HIGH, &bytes.to_string())?;
    let used = files::read_number(at, USED);
    let written = match used {
        Ok(used) if used > bytes => {
            let step = "taking away enough memory for the lower limit of";
            Err(StepError::new(step, Errno::BUSY).at(at.display().to_string()))
        }
        used => used.and_then(|_| writes()),
    };
    lift_high(at)?;
    written
}

/// Takes back what holds up who asks for more memory. Linux has it from version 2 of control groups on.
fn lift_high(at: &Path) -> Result<(), StepError> {
    match at.join(HIGH).exists() {
        true => files::write(at, HIGH, "max"),
        false => Ok(()),
    }
}

const USED: &str = "memory.current";
const HIGH: &str = "memory.high";

const SWAP: &str = "memory.swap.max";

fn memory_v2(bytes: u64, counts_swap: bool) -> Writes {
    let mut writes = vec![("memory.max", bytes.to_string())];
    if counts_swap {
        writes.push((SWAP, "0".to_owned()));
    }
    writes
}

fn cpu_v1(cpu: CpuLimits) -> Writes {
    let mut writes = Vec::new();
    if let Some(shares) = cpu.shares() {
        writes.push(("cpu.shares", shares.to_string()));
    }
    if let Some(quota) = cpu.quota {
        writes.push(("cpu.cfs_period_us", quota.period.to_string()));
        writes.push(("cpu.cfs_quota_us", quota.quota.to_string()));
    }
    writes
}

fn cpu_v2(cpu: CpuLimits) -> Writes {
    let mut writes = Vec::new();
    if let Some(weight) = cpu.weight {
        writes.push(("cpu.weight", weight.to_string()));
    }
    if let Some(quota) = cpu.quota {
        writes.push(("cpu.max", format!("{} {}", quota.quota, quota.period)));
    }
    writes
}

fn missing(controller: &str, pointer: &str) -> Failure {
    let message = format!(
        "the limit could not be enforced: the service has no control group controller \"{controller}\", as this host has none, or as \
         it runs as an ordinary user, who has no control groups of the host"
    );
    Failure::new(HResult::NOT_SUPPORTED, message.clone()).cause_at(pointer, message)
}

#[cfg(test)]
mod tests {
    use super::{super::limits::CpuQuota, *};

    #[test]
    fn memory_is_never_above_memory_and_swap() {
        let files =
            |now| -> Vec<&str> { memory_v1(100, now).iter().map(|write| write.0).collect() };
        assert_eq!(files(Some(50)), [MEMORY_AND_SWAP, "memory.limit_in_bytes"]);
        assert_eq!(files(Some(200)), ["memory.limit_in_bytes", MEMORY_AND_SWAP]);
        assert_eq!(files(None), ["memory.limit_in_bytes"]);
    }

    #[test]
    fn version_2_takes_no_swap() {
        let swap = ("memory.swap.max", "0".to_owned());
        assert_eq!(
            memory_v2(4096, true),
            [("memory.max", "4096".to_owned()), swap]
        );
        assert_eq!(memory_v2(4096, false), [("memory.max", "4096".to_owned())]);
    }

    #[test]
    fn processors_are_said_in_the_words_of_each_version() {
        let cpu = CpuLimits {
            quota: Some(CpuQuota {
                quota: 150_000,
                period: 100_000,
            }),
            weight: Some(200),
        };
        let text = |writes: Writes| -> Vec<String> {
            writes
                .iter()
                .map(|(file, value)| format!("{file}={value}"))
                .collect()
        };
        let v1 = [
            "cpu.shares=2048",
            "cpu.cfs_period_us=100000",
            "cpu.cfs_quota_us=150000",
        ];
        assert_eq!(text(cpu_v1(cpu)), v1);
        assert_eq!(
            text(cpu_v2(cpu)),
            ["cpu.weight=200", "cpu.max=150000 100000"]
        );
        assert!(cpu_v2(CpuLimits::default()).is_empty());
    }
}
