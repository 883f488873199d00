//! [`Clock`]: `--timeout` as it runs: one end for all that a verb asks for, and what is said when that has passed.

use std::time::{Duration, Instant};

use hcs::{ComputeSystem, Failure, HResult, LogFollower, Operation, raw};

use crate::failure::{LATE, Stop};

/// How long after the end of the time what has to be undone, or should have ended, is waited for.
const GRACE: Duration = Duration::from_secs(5);

/// When a verb has to be done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    verb: &'static str,
    /// What was given, and when that is over.
    limit: Option<(Duration, Instant)>,
}

impl Clock {
    /// Begins now.
    pub(crate) fn new(verb: &'static str, limit: Option<Duration>) -> Self {
        let end = |limit| Some((limit, Instant::now().checked_add(limit)?));
        // What is later than the clock can say is never.
        let limit = limit.and_then(end);
        Self { verb, limit }
    }

    /// The verb that has the time.
    pub(crate) const fn verb(&self) -> &'static str {
        self.verb
    }

    /// What is left of the time; `None` where there is no limit.
    pub(crate) fn left(&self) -> Option<Duration> {
        let (_, end) = self.limit?;
        Some(end.saturating_duration_since(Instant::now()))
    }

    /// For what is to be done after the end: it has a limit only where this has one.
    pub(crate) fn grace(&self) -> Self {
        let limit = self.limit.map(|_| GRACE);
        Self::new(self.verb, limit)
    }

    /// The operation, to be done within the time.
    pub(crate) fn on<T>(&self, operation: Operation<T>) -> Operation<T> {
        match self.left() {
            Some(left) => operation.deadline(left),
            None => operation,
        }
    }

    /// [`Clock::on`] for an operation that no call was made with yet.
    pub(crate) fn on_raw(&self, operation: &raw::Operation) {
        // Without a thread the service alone keeps the time.
        let _unwatched = operation.set_deadline(self.left());
    }

    /// The follower, for as long as the time lasts.
    pub(crate) fn on_follower(&self, follower: LogFollower) -> LogFollower {
        match self.left() {
            Some(left) => follower.deadline(left),
            None => follower,
        }
    }

    /// What the operation on `system` gives, which is empty where it is on none.
    ///
    /// # Errors
    /// Why it failed.
    pub(crate) fn wait<T>(&self, system: &str, operation: Operation<T>) -> Result<T, Stop> {
        self.on(operation)
            .wait()
            .map_err(|failure| self.stop(system, failure))
    }

    /// A handle to a system.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn open(&self, id: &str) -> Result<ComputeSystem, Stop> {
        self.wait(id, ComputeSystem::open(id))
    }

    /// Why the verb ends; where that is because the time is over, it is said which and of what.
    pub(crate) fn stop(&self, system: &str, why: impl Into<Stop>) -> Stop {
        let why = why.into();
        let late = why.failure.hresult == HResult::HCS_E_OPERATION_TIMEOUT;
        match self.limit {
            Some((limit, _)) if late => {
                let message = format!(
                    "{}{} was not done within {} and was given up",
                    self.verb,
                    of(system),
                    seconds(limit)
                );
                let mut failure = Failure::new(why.failure.hresult, message);
                if why.failure.operation.is_none() {
                    // Ended on this side.
                    failure = failure.cause(why.failure.message);
                    failure.causes.extend(why.failure.causes);
                }
                failure.operation = why.failure.operation;
                late_stop(failure)
            }
            _ => why,
        }
    }

    /// The time was over before `what` had ended, which is then `left`: "was killed" for example.
    pub(crate) fn passed(&self, what: &str, left: &str) -> Stop {
        let limit = self.limit.map_or(Duration::ZERO, |(limit, _)| limit);
        let message = format!("{what} had not ended within {} and {left}", seconds(limit));
        late_stop(Failure::new(HResult::TIMEOUT, message))
    }
}

fn late_stop(failure: Failure) -> Stop {
    Stop {
        code: LATE,
        failure,
    }
}

fn of(system: &str) -> String {
    match system {
        "" => String::new(),
        id => format!(" of {id:?}"),
    }
}

fn seconds(limit: Duration) -> String {
    match limit.as_secs_f64() {
        1.0 => "1 second".to_owned(),
        seconds => format!("{seconds} seconds"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn late() -> Failure {
        let mut failure = Failure::new(HResult::HCS_E_OPERATION_TIMEOUT, "late");
        failure.operation = Some("4711-17".to_owned());
        failure
    }

    #[test]
    fn what_took_too_long_is_named_with_the_verb_and_the_limit() {
        let clock = Clock::new("start", Some(Duration::from_millis(1500)));
        let stop = clock.stop("box", late());
        assert_eq!(stop.code, LATE);
        assert_eq!(
            stop.failure.message,
            "start of \"box\" was not done within 1.5 seconds and was given up"
        );
        assert_eq!(stop.failure.operation, late().operation);
        let list = Clock::new("list", Some(Duration::from_secs(1)));
        let silent = Failure {
            operation: None,
            ..late()
        };
        let stop = list.stop("", silent);
        assert!(
            stop.failure
                .message
                .starts_with("list was not done within 1 second ")
        );
        assert_eq!(stop.failure.causes[0].message, "late");
    }

    #[test]
    fn other_failures_are_told_as_they_are() {
        let unlimited = Clock::new("start", None);
        assert_eq!(unlimited.stop("box", late()).failure, late());
        let limited = Clock::new("start", Some(Duration::from_secs(1)));
        let other = Failure::new(HResult::E_FAIL, "it broke");
        assert_eq!(limited.stop("box", other.clone()).failure, other);
    }

    #[test]
    fn a_time_longer_than_the_clock_is_none() {
        assert_eq!(Clock::new("run", Some(Duration::MAX)).left(), None);
        assert_eq!(Clock::new("run", None).grace().left(), None);
        let passed = Clock::new("run", Some(Duration::from_nanos(1)));
        assert!(passed.grace().left().is_some_and(|left| !left.is_zero()));
    }
}
