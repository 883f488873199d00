//! Writing a container's limits.

use std::path::Path;

use hcs_schema::{Failure, HResult};

use super::{
    ControlGroups, Home,
    detect::Controller,
    files,
    limits::{self, CpuLimits},
};
use crate::failure::StepError;

/// Controllers that a container's group in the unified hierarchy needs from the groups above it.
const DELEGATED: [&str; 4] = ["memory", "cpu", "pids", "io"];

/// All limits of a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Memory in bytes, swap included.
    pub(crate) memory: Option<u64>,
    /// Processor time.
    pub(crate) cpu: CpuLimits,
    /// Processes and threads.
    pub(crate) pids: Option<u64>,
}

/// Has the groups from the hierarchy's root down to above `group` pass controllers on to those below. What the host
/// does not have, or does not let us pass on, is missing in `cgroup.controllers` of the group afterwards.
pub(super) fn delegate(mount: &Path, group: &Path) -> Result<(), StepError> {
    let mut ancestors: Vec<&Path> = group.ancestors().skip(1).collect();
    ancestors.retain(|ancestor| ancestor.starts_with(mount));
    for ancestor in ancestors.into_iter().rev() {
        super::make_directory(ancestor)?;
        let passed = files::read(ancestor, "cgroup.subtree_control")?;
        let available = files::read(ancestor, "cgroup.controllers")?;
        for name in DELEGATED {
            let has = |list: &str| list.split_whitespace().any(|known| known == name);
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
    /// Applies all limits.
    ///
    /// # Errors
    /// A limit the document asks for needs a controller that the host does not have, or the kernel refused it. The
    /// limit on processes is ours, so it is left out where the host has no controller for it.
    pub(crate) fn apply(&self, limits: &Limits) -> Result<(), Failure> {
        self.limit_memory(limits.memory)?;
        self.limit_cpu(limits.cpu)?;
        if let (Some(pids), Some(Home::V1(at) | Home::V2(at))) =
            (limits.pids, self.home(Controller::Pids))
        {
            files::write(at, "pids.max", &pids.to_string())
                .map_err(|error| error.into_failure("the number of processes cannot be limited"))?;
        }
        Ok(())
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
            error
                .asked_by(limits::MEMORY)
                .into_failure(format!("memory cannot be limited to {bytes} bytes"))
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
            Some(Home::V1(at)) => limit_cpu_v1(at, cpu),
            Some(Home::V2(at)) => limit_cpu_v2(at, cpu),
        };
        written.map_err(|error| {
            error
                .asked_by(limits::PROCESSOR)
                .into_failure("the processors cannot be limited as asked")
        })
    }
}

/// Neither of the two limits may ever be above the other in the wrong direction: memory <= memory and swap. So the one
/// that grows out of the way goes first.
fn limit_memory_v1(at: &Path, bytes: u64) -> Result<(), StepError> {
    const MEMORY: &str = "memory.limit_in_bytes";
    const WITH_SWAP: &str = "memory.memsw.limit_in_bytes";
    let value = bytes.to_string();
    if !at.join(WITH_SWAP).exists() {
        return files::write(at, MEMORY, &value);
    }
    if files::read_number(at, WITH_SWAP)? < bytes {
        files::write(at, WITH_SWAP, &value)?;
        files::write(at, MEMORY, &value)
    } else {
        files::write(at, MEMORY, &value)?;
        files::write(at, WITH_SWAP, &value)
    }
}

fn limit_memory_v2(at: &Path, bytes: u64) -> Result<(), StepError> {
    files::write(at, "memory.max", &bytes.to_string())?;
    if at.join("memory.swap.max").exists() {
        files::write(at, "memory.swap.max", "0")?;
    }
    Ok(())
}

fn limit_cpu_v1(at: &Path, cpu: CpuLimits) -> Result<(), StepError> {
    if let Some(shares) = cpu.shares() {
        files::write(at, "cpu.shares", &shares.to_string())?;
    }
    match cpu.quota {
        None => Ok(()),
        Some(quota) => {
            files::write(at, "cpu.cfs_period_us", &quota.period.to_string())?;
            files::write(at, "cpu.cfs_quota_us", &quota.quota.to_string())
        }
    }
}

fn limit_cpu_v2(at: &Path, cpu: CpuLimits) -> Result<(), StepError> {
    if let Some(weight) = cpu.weight {
        files::write(at, "cpu.weight", &weight.to_string())?;
    }
    match cpu.quota {
        None => Ok(()),
        Some(quota) => files::write(at, "cpu.max", &format!("{} {}", quota.quota, quota.period)),
    }
}

fn missing(controller: &str, pointer: &str) -> Failure {
    let message = format!(
        "this host has no control group controller \"{controller}\" that could enforce the limit"
    );
    Failure::new(HResult::NOT_SUPPORTED, message.clone()).cause_at(pointer, message)
}
