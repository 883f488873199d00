//! What an archive may cost: bytes, files, names, depth and time; and what all archives of one image may cost together.

use std::time::{Duration, Instant};

use crate::Refusal;

/// What one archive may cost. What exceeds a limit is refused, and the refusal names the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the archive after decompression, and bytes of its files, holes included.
    pub bytes: u64,
    /// Entries: files, directories, links, marks of deleted files.
    pub entries: u64,
    /// Bytes of paths, link targets, extended attributes and headers: what is kept in memory.
    pub metadata: u64,
    /// Names in a path.
    pub depth: usize,
    /// Time for the whole archive. It is looked at between reads: a source that blocks is the caller's to end.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 64 << 30,
            entries: 2_000_000,
            metadata: 512 << 20,
            depth: 256,
            time: Duration::from_secs(3600),
        }
    }
}

/// When the time for an archive is over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    end: Option<Instant>,
    time: Duration,
}

impl Deadline {
    /// `time` from now; none where the clock cannot say that time.
    pub(crate) fn after(time: Duration) -> Self {
        Self {
            end: Instant::now().checked_add(time),
            time,
        }
    }

    /// # Errors
    /// The time is over.
    pub(crate) fn check(self) -> Result<(), Refusal> {
        match self.end {
            Some(end) if Instant::now() >= end => Err(Refusal::TooSlow { limit: self.time }),
            _ => Ok(()),
        }
    }
}

/// What one work on a store may cost, whatever number of archives it is of: a small archive can be named many times.
/// The depth and the metadata are limited for each archive, as they are kept no longer.
#[derive(Debug)]
pub(crate) struct Budget {
    pub(crate) limits: Limits,
    pub(crate) deadline: Deadline,
    /// Bytes of contents as they are stored.
    stored: u64,
    /// Bytes of archives after decompression.
    pub(crate) plain: u64,
    /// Bytes of files, holes included.
    pub(crate) content: u64,
    pub(crate) entries: u64,
}

impl Budget {
    /// All of `limits`, of which the time begins now.
    pub(crate) fn of(limits: &Limits) -> Self {
        Self::until(limits, Deadline::after(limits.time))
    }

    /// All of `limits`, with the time that is left.
    pub(crate) fn until(limits: &Limits, deadline: Deadline) -> Self {
        Self {
            limits: *limits,
            deadline,
            stored: 0,
            plain: 0,
            content: 0,
            entries: 0,
        }
    }

    /// Takes the bytes of a content that is stored.
    ///
    /// # Errors
    /// There are not as many left, or no time.
    pub(crate) fn store(&mut self, bytes: u64) -> Result<(), Refusal> {
        let refusal = |limit| Refusal::TooManyBytes { limit };
        charge(&mut self.stored, bytes, self.limits.bytes, refusal)?;
        self.deadline.check()
    }
}

/// Adds `more` to `sum`, which may not pass `limit`.
pub(crate) fn charge(
    sum: &mut u64,
    more: u64,
    limit: u64,
    refusal: fn(u64) -> Refusal,
) -> Result<(), Refusal> {
    *sum = sum.saturating_add(more);
    if *sum > limit {
        return Err(refusal(limit));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_may_reach_its_limit_and_not_pass_it() {
        let mut sum = 0;
        let refusal = |limit| Refusal::TooManyEntries { limit };
        assert!(charge(&mut sum, 2, 3, refusal).is_ok());
        assert!(charge(&mut sum, 1, 3, refusal).is_ok());
        assert!(matches!(
            charge(&mut sum, 1, 3, refusal),
            Err(Refusal::TooManyEntries { limit: 3 })
        ));
        assert!(charge(&mut sum, u64::MAX, 3, refusal).is_err());
    }

    #[test]
    fn a_budget_ends_with_its_sum_or_its_time() {
        let limits = Limits {
            bytes: 3,
            ..Limits::default()
        };
        let mut budget = Budget::of(&limits);
        assert_eq!(budget.store(3), Ok(()));
        assert_eq!(budget.store(1), Err(Refusal::TooManyBytes { limit: 3 }));
        let over = Deadline::after(Duration::ZERO);
        let late = Budget::until(&limits, over).store(1);
        assert!(matches!(late, Err(Refusal::TooSlow { .. })));
    }

    #[test]
    fn a_deadline_that_is_over_refuses() {
        assert!(matches!(
            Deadline::after(Duration::ZERO).check(),
            Err(Refusal::TooSlow { .. })
        ));
        assert!(Deadline::after(Duration::MAX).check().is_ok());
    }
}
