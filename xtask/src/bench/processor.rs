//! One processor for several threads: what they cost each other is then no matter of where the scheduler puts them, nor
//! of how long an idle processor takes to wake up.

use rustix::{
    process::Pid,
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};

/// Threads that share a processor, until this is dropped.
#[derive(Debug)]
pub(crate) struct Shared {
    /// What each might use before; `None` is the thread that asked.
    former: Vec<(Option<Pid>, CpuSet)>,
}

impl Shared {
    /// This thread and what it starts, and the main thread of `other`, on the first processor that this one may use.
    pub(crate) fn with(other: u32) -> Result<Self, String> {
        let other = i32::try_from(other).ok().and_then(Pid::from_raw);
        let may = |whom| sched_getaffinity(whom).map_err(|e| format!("sched_getaffinity: {e}"));
        let mine = may(None)?;
        let mut one = CpuSet::new();
        let first = (0..CpuSet::MAX_CPU).find(|&cpu| mine.is_set(cpu));
        one.set(first.ok_or("this thread may use no processor")?);
        let shared = Self {
            former: vec![(None, mine), (other, may(other)?)],
        };
        for (whom, _) in &shared.former {
            sched_setaffinity(*whom, &one).map_err(|e| format!("sched_setaffinity: {e}"))?;
        }
        Ok(shared)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        for (whom, former) in &self.former {
            // A task that has ended uses none.
            let _gone = sched_setaffinity(*whom, former);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_is_shared_for_a_while() {
        let before = sched_getaffinity(None).unwrap();
        let shared = Shared::with(
            rustix::thread::gettid()
                .as_raw_nonzero()
                .get()
                .unsigned_abs(),
        );
        assert_eq!(sched_getaffinity(None).unwrap().count(), 1);
        drop(shared.unwrap());
        assert!(sched_getaffinity(None).unwrap() == before);
    }
}
