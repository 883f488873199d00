//! What a machine has used, as a document.

use std::time::SystemTime;

use hcs_engine::memory::host_memory;
use hcs_schema::documents::{
    MemoryInformationForVm, MemoryStats, ProcessorStats, Properties, Statistics, StorageStats,
    SystemPropertyType,
};

use super::clock;
use crate::{
    cgroup::{ControlGroups, statistics::TICKS_PER_SECOND},
    record::Made,
};

/// The property `kind` as far as `groups` account for it, of a machine that was made then.
pub(crate) fn property(
    groups: &ControlGroups,
    made: Made,
    kind: SystemPropertyType,
) -> Option<Properties> {
    let properties = Properties::default();
    match kind {
        SystemPropertyType::Statistics => Some(Properties {
            statistics: Some(figures(groups, made)),
            ..properties
        }),
        SystemPropertyType::Memory => {
            let memory = groups.memory()?.document(host_memory().ok());
            Some(Properties {
                memory: Some(MemoryInformationForVm {
                    virtual_machine_memory: Some(memory),
                    ..MemoryInformationForVm::default()
                }),
                ..properties
            })
        }
        _ => None,
    }
}

/// The accounts of `groups`, of a machine that was made then.
fn figures(groups: &ControlGroups, made: Made) -> Statistics {
    let ticks = made.age().as_nanos() / u128::from(1_000_000_000 / TICKS_PER_SECOND);
    Statistics {
        timestamp: Some(clock::date_time(SystemTime::now())),
        container_start_time: Some(clock::date_time(made.time())),
        uptime100ns: u64::try_from(ticks).ok(),
        processor: groups.cpu_use().map(|cpu| ProcessorStats {
            total_runtime100ns: Some(cpu.total),
            runtime_user100ns: Some(cpu.user),
            runtime_kernel100ns: Some(cpu.kernel),
        }),
        memory: groups.memory_use().map(|memory| MemoryStats {
            memory_usage_commit_bytes: Some(memory.now),
            memory_usage_commit_peak_bytes: Some(memory.peak),
            memory_usage_private_working_set_bytes: Some(memory.private),
        }),
        storage: groups.io_use().map(|io| StorageStats {
            read_count_normalized: Some(io.reads),
            read_size_bytes: Some(io.read_bytes),
            write_count_normalized: Some(io.writes),
            write_size_bytes: Some(io.written_bytes),
        }),
        // The service knows its endpoints.
        network: None,
    }
}
