//! [`crate::reading::sync`] with shuttle's locks and threads: every lock and wait is a place where another thread may
//! go on.

pub(crate) use shuttle::{
    sync::{Condvar, Mutex, MutexGuard},
    thread,
};

use std::{sync::PoisonError, time::Duration};

/// Time is over at once here.
pub(crate) const PATIENCE: Duration = Duration::ZERO;

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condvar.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

/// The end of a wait: never, or before anything else happens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deadline {
    Never,
    Now,
}

impl Deadline {
    pub(crate) fn after(limit: Option<Duration>) -> Self {
        limit.map_or(Self::Never, |_| Self::Now)
    }

    pub(crate) fn now() -> Self {
        Self::Now
    }

    pub(crate) fn wait<'a, T>(
        self,
        condvar: &Condvar,
        guard: MutexGuard<'a, T>,
    ) -> Result<MutexGuard<'a, T>, MutexGuard<'a, T>> {
        match self {
            Self::Never => Ok(wait(condvar, guard)),
            Self::Now => Err(guard),
        }
    }
}
