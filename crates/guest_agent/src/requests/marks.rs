//! When an `ExecuteProcess` got how far, for the time line that the host keeps.

use hcs_wire::guest::ExecuteSteps;
use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::sys::Times;

/// Moments of `CLOCK_MONOTONIC`; `None` for what was not reached.
#[derive(Debug)]
pub(super) struct Marks {
    begun: Timespec,
    pub(super) identified: Option<Timespec>,
    pub(super) decided: Option<Timespec>,
    pub(super) connected: Option<Timespec>,
    /// What the new process reached.
    pub(super) child: Times,
    pub(super) executed: Option<Timespec>,
}

/// This moment.
pub(super) fn now() -> Timespec {
    clock_gettime(ClockId::Monotonic)
}

impl Marks {
    /// Those of a request that is taken up now.
    pub(super) fn begin() -> Self {
        Self {
            begun: now(),
            identified: None,
            decided: None,
            connected: None,
            child: Times::default(),
            executed: None,
        }
    }

    /// As they are told in an answer that is given now.
    pub(super) fn told(&self) -> ExecuteSteps {
        let now = now();
        let ago = |then: Option<Timespec>| then.map(|then| microseconds(then, now));
        ExecuteSteps {
            begun: ago(Some(self.begun)),
            identified: ago(self.identified),
            decided: ago(self.decided),
            connected: ago(self.connected),
            cloned: ago(self.child.cloned),
            became: ago(self.child.became),
            entered: ago(self.child.entered),
            executed: ago(self.executed),
        }
    }
}

/// From `then` to `now`.
fn microseconds(then: Timespec, now: Timespec) -> u32 {
    let seconds = now.tv_sec.saturating_sub(then.tv_sec);
    let rest = (now.tv_nsec - then.tv_nsec) / 1000;
    let all = seconds.saturating_mul(1_000_000).saturating_add(rest);
    u32::try_from(all.max(0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_from_the_answer_backwards() {
        let at = |tv_sec, tv_nsec| Timespec { tv_sec, tv_nsec };
        assert_eq!(microseconds(at(7, 999_999_000), at(8, 1000)), 2);
        assert_eq!(microseconds(at(8, 0), at(7, 0)), 0);
        assert_eq!(microseconds(at(0, 0), at(1 << 40, 0)), u32::MAX);
        let told = Marks::begin().told();
        assert!(told.begun.is_some());
        assert_eq!((told.identified, told.entered), (None, None));
    }
}
