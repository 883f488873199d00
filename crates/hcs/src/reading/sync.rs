//! The locks and threads that [`crate::reading::cell`] and [`crate::reading::hub`] are built on, in one place so that
//! the model tests can put others in their place.

pub(crate) use std::{
    sync::{Condvar, Mutex, MutexGuard},
    thread,
};

use std::{
    sync::PoisonError,
    time::{Duration, Instant},
};

/// Locks, also after a panic of another holder: no guarded value of this library is ever left half changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for a notification; spurious ones happen.
pub(crate) fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condvar.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

/// How long answers that no thread waits for stay unread before the keeper of [`crate::reading::turn`] reads them.
pub(crate) const PATIENCE: Duration = Duration::from_millis(10);

/// The end of a wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    /// `None` means never; so does a limit that the clock cannot express.
    pub(crate) fn after(limit: Option<Duration>) -> Self {
        Self(limit.and_then(|limit| Instant::now().checked_add(limit)))
    }

    /// No waiting at all.
    pub(crate) fn now() -> Self {
        Self(Some(Instant::now()))
    }

    /// The time left until then; `None` without a limit.
    pub(crate) fn left(self) -> Option<Duration> {
        self.0
            .map(|end| end.saturating_duration_since(Instant::now()))
    }

    /// Waits for a notification at most until then; gives the guard back in `Err` when the time is over.
    pub(crate) fn wait<'a, T>(
        self,
        condvar: &Condvar,
        guard: MutexGuard<'a, T>,
    ) -> Result<MutexGuard<'a, T>, MutexGuard<'a, T>> {
        let Some(end) = self.0 else {
            return Ok(wait(condvar, guard));
        };
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(guard);
        }
        let (guard, _) = condvar
            .wait_timeout(guard, left)
            .unwrap_or_else(PoisonError::into_inner);
        Ok(guard)
    }
}
