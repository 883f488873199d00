//! The control groups of a machine of another engine: named, limited, counted and removed as those of containers.

use std::sync::OnceLock;

use hcs_engine::engine::MemoryKills;
use hcs_schema::{
    Failure,
    documents::{Properties, SystemPropertyType},
};
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use crate::{
    cgroup::{
        ControlGroups, Limits,
        cpu_groups::CpuGroups,
        limits::{CpuLimits, CpuQuota},
        own,
    },
    engine::host::HostGroups,
    machine,
    record::{self, Made},
};

/// Microseconds of one period of a limit of processor time.
const PERIOD: u64 = 100_000;

/// Limits on all processes of a machine together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MachineLimits {
    /// Memory in bytes, swap included.
    pub memory: Option<u64>,
    /// Processor time, in thousandths of one processor.
    pub processor: Option<u64>,
    /// Weight against other systems, 1 to 10000; 100 is usual.
    pub weight: Option<u64>,
    /// Processes and threads.
    pub tasks: Option<u64>,
}

/// The control groups of one machine. Holds names only: a drop removes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MachineGroups(ControlGroups);

/// The host's control groups, looked up once.
static HOST: OnceLock<HostGroups> = OnceLock::new();

/// Whether the host has control groups where this process looks for them. An ordinary user has none anyway.
#[must_use]
pub fn has_control_groups() -> bool {
    HostGroups::once(&HOST)
        .is_ok_and(|host| !host.used.v1.is_empty() || host.used.unified.is_some())
}

impl MachineGroups {
    /// Makes the groups of the machine `runtime_id` below `root`, with these limits. On failure nothing is left.
    ///
    /// # Errors
    /// The host has no such groups, or no such limits.
    pub fn make(root: &str, runtime_id: &str, limits: &MachineLimits) -> Result<Self, Failure> {
        let failed = "the control groups of the machine cannot be made";
        let host = HostGroups::once(&HOST).map_err(|error| error.into_failure(failed))?;
        let groups = ControlGroups::named(&host.used, root, runtime_id);
        let made = groups.make(&host.used, &host.delegated);
        let quota = limits.processor.map(|thousandths| CpuQuota {
            // The kernel takes no less than a millisecond.
            quota: (thousandths.saturating_mul(PERIOD) / 1000).max(1000),
            period: PERIOD,
        });
        let limited = made
            .map_err(|error| error.into_failure(failed))
            .and_then(|()| {
                groups.apply(&Limits {
                    memory: limits.memory,
                    cpu: CpuLimits {
                        quota,
                        weight: limits.weight,
                    },
                    pids: limits.tasks,
                    pids_asked: false,
                })
            });
        match limited {
            Ok(()) => Ok(Self(groups)),
            Err(failure) => {
                // What resists is found by the next sweep.
                let _left = groups.clear();
                Err(without_pointers(failure))
            }
        }
    }

    /// Moves a process of one thread there, out of the service's own group below `root`.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn join(&self, root: &str, process: Pid) -> Result<(), Failure> {
        own::put_out(root, process);
        let joined = self.0.join(process);
        joined.map_err(|error| error.into_failure("a process cannot join its control groups"))
    }

    /// Takes the machine into the group of processors `id` below `root`: so far it is `process`, which has one thread.
    /// `pointer` is that of the property that names the group.
    ///
    /// # Errors
    /// The host has no such groups, or not this one; by the pointer.
    pub fn join_processors(
        &self,
        root: &str,
        (id, pointer): (&str, &str),
        process: Pid,
    ) -> Result<(), Failure> {
        let process = process.as_raw_nonzero().get();
        CpuGroups::of_host(root)?.join((&id.to_lowercase(), pointer), &self.0, process)
    }

    /// Why a record that names these groups and the living process `pid` is not one that a service has written of the
    /// machine `runtime_id`. Another program may have written it: a container to which the directory was mapped before
    /// it was that of a service.
    #[must_use]
    pub fn doubt(&self, runtime_id: &str, pid: i32) -> Option<&'static str> {
        if !record::is_guid(runtime_id) {
            return Some("its directory has no name that a service gives one");
        }
        if !self.0.are_named(runtime_id) || !self.0.are_groups() || self.0.are_of_another() {
            return Some("it names control groups of another machine");
        }
        // What is gone by now does no harm.
        let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        (!self.0.hold(&groups)).then_some("its process is not in the control groups of the machine")
    }

    /// Limits memory and swap together to `bytes` from now on.
    ///
    /// # Errors
    /// The kernel refused, as it does where more is in use and stays.
    pub fn limit_memory(&self, bytes: u64) -> Result<(), Failure> {
        self.0.limit_memory(Some(bytes)).map_err(without_pointers)
    }

    /// Kills every process in the groups, without waiting for their end.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn kill(&self) -> Result<(), Failure> {
        let killed = self.0.kill();
        killed.map_err(|error| error.into_failure("the machine's processes cannot be killed"))
    }

    /// Removes the groups, after the end of what lives in them. Again is fine.
    ///
    /// # Errors
    /// A group is still in use after two seconds, or the kernel refused.
    pub fn remove(&self) -> Result<(), Failure> {
        let removed = self.0.remove();
        removed
            .map_err(|error| error.into_failure("the machine's control groups cannot be removed"))
    }

    /// A property of a machine that was made then, where the groups account for it: `Memory` or `Statistics`.
    #[must_use]
    pub fn property(&self, made: Made, kind: SystemPropertyType) -> Option<Properties> {
        machine::property(&self.0, made, kind)
    }

    /// The processes in the groups that the kernel killed for lack of memory.
    #[must_use]
    pub fn memory_kills(&self) -> MemoryKills {
        self.0.memory_kills()
    }
}

/// A failure of limits; its pointers would be those of containers.
fn without_pointers(mut failure: Failure) -> Failure {
    for cause in &mut failure.causes {
        cause.pointer = None;
    }
    failure
}
