//! What was done for a container, told to its watcher ([`hcs_engine::steps`]): by the service's own threads as
//! it happens, by a child with its report.

use std::time::{Duration, Instant};

use hcs_engine::steps::{MOST, Step, note};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::failure::StepError;

/// Notes that `what` has been done.
pub(crate) fn done(what: &'static str) {
    note(|| Step {
        at: Instant::now(),
        what: what.into(),
    });
}

/// Notes something that a user may want to know: what is not as one might expect it. Others than the caller read that,
/// so it has nothing from the document.
pub(crate) fn warn(what: String) {
    note(|| Step {
        at: Instant::now(),
        what: what.into(),
    });
}

/// Notes which step failed, and why. Others than the caller read that, so it does not say on which path.
pub(crate) fn failed(error: &StepError) {
    note(|| Step {
        at: Instant::now(),
        what: format!("failed: {}", error.recorded()).into(),
    });
}

/// The steps of a child, for the service, which has the same clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    /// The moment of telling, in nanoseconds of `CLOCK_MONOTONIC`.
    at: u64,
    /// For each step how many microseconds before that it was done, and what it was.
    steps: Vec<(u64, String)>,
}

impl Told {
    /// `steps`, told this moment.
    pub(crate) fn now(steps: &[Step]) -> Self {
        let now = Instant::now();
        let ago = |step: &Step| u64::try_from(now.duration_since(step.at).as_micros());
        let told = |step: &Step| (ago(step).unwrap_or(u64::MAX), step.what.to_string());
        Self {
            at: monotonic(),
            steps: steps.iter().map(told).collect(),
        }
    }

    /// Notes them as steps of the calling thread's work.
    pub(crate) fn note(self) {
        let since = Duration::from_nanos(monotonic().saturating_sub(self.at));
        let now = Instant::now();
        for (ago, what) in self.steps.into_iter().take(MOST) {
            let ago = Duration::from_micros(ago).saturating_add(since);
            note(|| Step {
                // A child is younger than its host.
                at: now.checked_sub(ago).unwrap_or(now),
                what: format!("container: {what}").into(),
            });
        }
    }
}

fn monotonic() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let (seconds, rest) = (
        u64::try_from(now.tv_sec).unwrap_or_default(),
        u64::try_from(now.tv_nsec).unwrap_or_default(),
    );
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}

#[cfg(test)]
mod tests {
    use hcs_engine::steps::watch;
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn what_a_child_did_is_told_with_its_times() {
        let before = Instant::now();
        let ((), steps) = watch(|| {
            done("joined its control groups");
            failed(&StepError::new("mounting", Errno::PERM));
        });
        let text = serde_json::to_string(&Told::now(&steps)).unwrap();
        let told: Told = serde_json::from_str(&text).unwrap();
        let ((), heard) = watch(|| told.note());
        let names: Vec<_> = heard.iter().map(|step| &*step.what).collect();
        let failure = "container: failed: mounting: Operation not permitted (os error 1)";
        assert_eq!(names, ["container: joined its control groups", failure]);
        assert!(heard[0].at <= heard[1].at && heard[1].at <= Instant::now());
        assert!(heard[0].at >= before);
    }

    #[test]
    fn times_that_cannot_be_are_put_up_with() {
        let told = Told {
            at: u64::MAX,
            steps: vec![(u64::MAX, "nonsense".to_owned()); 2 * MOST],
        };
        assert_eq!(watch(|| told.note()).1.len(), MOST);
    }
}
