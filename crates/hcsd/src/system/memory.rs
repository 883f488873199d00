//! What the kernel killed in a system for want of memory, and whom that explains; and which processes it refused.
//!
//! The kernel counts its kills per control group and does not say whom it met. So each counted kill explains the end of
//! one process that SIGKILL ended, unless a client had asked for that, or that failed: a child of its may have been
//! met. It is looked at only when a process ends otherwise than well: that costs nothing on the way of all others.

use std::cell::Cell;

use hcs_engine::engine::{MemoryKills, ProcessRefusals};
use serde_json::json;
use tracing::warn;

use super::{Initiator, System};
use crate::record::{ending::OutOfMemory, event_log::Kind};

/// The kills of one system.
#[derive(Debug, Default)]
pub(super) struct Kills {
    /// Counted so far.
    seen: Cell<u64>,
    /// Of those, how many have explained nothing yet.
    unexplained: Cell<u64>,
}

impl Kills {
    /// Those that were `seen` before have been explained or told of.
    pub(super) fn new(seen: u64) -> Self {
        Self {
            seen: Cell::new(seen),
            unexplained: Cell::default(),
        }
    }

    /// How many were counted so far.
    pub(super) fn seen(&self) -> u64 {
        self.seen.get()
    }

    /// There have been `count` by now; returns how many of them are new.
    fn count(&self, count: u64) -> u64 {
        let new = count.saturating_sub(self.seen.get());
        self.seen.set(self.seen.get().max(count));
        self.unexplained.set(self.unexplained.get() + new);
        new
    }

    /// What there was has explained an end.
    fn forget(&self) {
        self.unexplained.set(0);
    }

    /// Whether one is left to explain an end; it explains no other then.
    fn explain(&self) -> bool {
        let left = self.unexplained.get().checked_sub(1);
        self.unexplained.set(left.unwrap_or_default());
        left.is_some()
    }
}

impl System {
    /// Looks for kills since the last look, and tells of them in the event log.
    pub(crate) fn look_for_memory_kills(&self) -> OutOfMemory {
        let MemoryKills { count, limit } = self.machine.memory_kills();
        let limit_in_mb = limit.map(|bytes| bytes >> 20);
        let new = self.memory_kills.count(count);
        if new > 0 {
            warn!(system = %self.id, kills = new, limit_in_mb, "the kernel killed in it, as there was no memory left");
            let data = json!({ "Kills": new, "MemoryLimitInMB": limit_in_mb });
            self.note(
                Kind::SystemOutOfMemory,
                None,
                Initiator::Service,
                Some(data),
            );
            // What has ended is told of once more at most.
            if self.alive().is_ok() {
                self.write_down(self.state());
            }
        }
        OutOfMemory { limit_in_mb }
    }

    /// A process of it failed; whatever was killed explains that, without being told.
    pub(crate) fn failed_beside_memory_kills(&self) {
        self.look_for_memory_kills();
        self.memory_kills.forget();
    }

    /// How many processes and threads it has been refused so far.
    pub(crate) fn refused_processes(&self) -> u64 {
        self.machine.process_refusals().count
    }

    /// The limit of its processes, if it was refused one after the first `before`: that may be why a process failed
    /// that was created then.
    pub(crate) fn refused_since(&self, before: u64) -> Option<u64> {
        let ProcessRefusals { count, limit } = self.machine.process_refusals();
        limit.filter(|_| count > before)
    }

    /// Why a process of it was killed that no client asked to be, if that was for want of memory.
    pub(crate) fn memory_kill(&self) -> Option<OutOfMemory> {
        let out_of_memory = self.look_for_memory_kills();
        self.memory_kills.explain().then_some(out_of_memory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kill_explains_one_end() {
        let kills = Kills::new(2);
        assert_eq!(kills.count(2), 0);
        assert!(!kills.explain());
        assert_eq!(kills.count(4), 2);
        assert!(kills.explain() && kills.explain() && !kills.explain());
        // The accounts cannot be read for a moment.
        assert_eq!(kills.count(0), 0);
        assert_eq!(kills.count(5), 1);
        assert_eq!(kills.seen(), 5);
        kills.forget();
        assert!(!kills.explain());
    }
}
