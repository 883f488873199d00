//! Answers after which a request is made again: the registry is busy, or says how long it wants to be left alone.
//!
//! All waiting of one pull from one place is limited together, however many requests and threads wait.

use std::{
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use ureq::{
    Body,
    http::{Response, header},
};

/// How often a request is made again.
const MOST_TRIES: u32 = 4;
/// How long is waited first where the registry does not say; each further time is twice as long.
const FIRST: Duration = Duration::from_millis(500);
/// How often is looked whether another part of the pull has failed.
const STEP: Duration = Duration::from_millis(50);

/// How much waiting is left.
pub(crate) struct Patience<'a> {
    left: Mutex<Duration>,
    /// Told of each wait.
    told: &'a (dyn Fn(Duration) + Sync),
}

impl fmt::Debug for Patience<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Patience")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

impl<'a> Patience<'a> {
    pub(crate) const fn new(left: Duration, told: &'a (dyn Fn(Duration) + Sync)) -> Self {
        Self {
            left: Mutex::new(left),
            told,
        }
    }

    /// Waits before a request is made again that got `answer` after `tries` others; false where it is not made again.
    pub(crate) fn wait(
        &self,
        answer: &Response<Body>,
        tries: u32,
        stop: Option<&AtomicBool>,
    ) -> bool {
        let asked = seconds(answer);
        let Some(mut rest) = pause(answer.status().as_u16(), asked, tries) else {
            return false;
        };
        {
            let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
            match left.checked_sub(rest) {
                Some(less) => *left = less,
                None => return false,
            }
        }
        (self.told)(rest);
        let stopped = || stop.is_some_and(|stop| stop.load(Ordering::Relaxed));
        while !rest.is_zero() && !stopped() {
            let step = rest.min(STEP);
            thread::sleep(step);
            rest -= step;
        }
        !stopped()
    }
}

/// The seconds that an answer asks to wait for. A date is not understood, and counts as none.
pub(crate) fn seconds(answer: &Response<Body>) -> Option<u64> {
    let header = answer.headers().get(header::RETRY_AFTER)?;
    header.to_str().ok()?.trim().parse().ok()
}

/// How long is waited after an answer; none where the request is not made again.
fn pause(status: u16, asked: Option<u64>, tries: u32) -> Option<Duration> {
    if !matches!(status, 429 | 500 | 502 | 503 | 504) || tries >= MOST_TRIES {
        return None;
    }
    Some(match asked {
        Some(seconds) => Duration::from_secs(seconds),
        None => FIRST * 2_u32.pow(tries),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_be_better_later_is_asked_for_again() {
        for status in [200, 206, 301, 400, 401, 403, 404, 501] {
            assert_eq!(pause(status, Some(1), 0), None, "{status}");
        }
        for status in [429, 500, 502, 503, 504] {
            assert_eq!(pause(status, Some(7), 3), Some(Duration::from_secs(7)));
            assert_eq!(pause(status, Some(7), MOST_TRIES), None);
        }
        let all: Duration = (0..MOST_TRIES)
            .filter_map(|tries| pause(503, None, tries))
            .sum();
        assert_eq!(all, FIRST * 15);
    }
}
