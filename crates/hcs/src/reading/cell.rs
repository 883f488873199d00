//! [`Cell`]: the operation's state machine behind a lock, with everything that waits for it.
//!
//! These threads take the lock: program threads (start, read, wait, close), the connection's reader (complete) and
//! callback threads (begin, end). While it is held, nothing is called and no value of the program is dropped:
//! callbacks, wakers and outcomes are moved out first.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Poll, Waker},
};

use hcs_lifecycle::operation::{CallNumber, Cancel, Operation, Phase, Refusal, Streams};
use hcs_lifecycle::operation_kind::OperationKind;

use super::sync::{Condvar, Mutex, MutexGuard, lock, thread, wait};

/// Whether a completion that came when the operation had no callback is known to the program. Each is reported at most
/// once: a reporter claims it first.
#[derive(Debug, Default)]
pub(crate) struct Telling {
    told: AtomicBool,
    read: AtomicBool,
}

impl Telling {
    /// Claims the report. Returns true for the first caller, which has to report the completion.
    pub(crate) fn claim(&self) -> bool {
        !self.told.swap(true, Ordering::AcqRel)
    }

    /// Whether it need not be told any more: it was told, its result read, or the operation closed.
    pub(crate) fn is_taken(&self) -> bool {
        self.read.load(Ordering::Acquire) || self.told.load(Ordering::Acquire)
    }

    fn read(&self) {
        self.read.store(true, Ordering::Release);
    }
}

/// The consequence of a completion.
#[derive(Clone, Debug)]
pub(crate) enum Completion {
    /// Nothing: the operation was closed, or tracks another call.
    Unwanted,
    /// [`Cell::run_callback`] is to be called on a thread for callbacks.
    Callback,
    /// The operation has no callback; perhaps a handle of the call has, or one of them gets one.
    NoCallback(Arc<Telling>),
}

/// A shared operation. `C` is its callback.
#[derive(Debug)]
pub(crate) struct Cell<T, E, C> {
    state: Mutex<State<T, E, C>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<T, E, C> {
    machine: Operation<T, E>,
    callback: Option<C>,
    /// Callbacks that [`Cell::run_callback`] is still to begin.
    due: u32,
    /// Of the present outcome, until it is read.
    telling: Option<Arc<Telling>>,
    /// Counts the callbacks that were set.
    callbacks: u64,
    /// Threads inside a callback of this operation, and which of those that were set it is.
    runners: Vec<(thread::ThreadId, u64)>,
    wakers: Vec<Waker>,
}

impl<T: Clone, E: Clone, C: Clone> Cell<T, E, C> {
    pub(crate) fn new() -> Self {
        let state = State {
            machine: Operation::default(),
            callback: None,
            due: 0,
            telling: None,
            callbacks: 0,
            runners: Vec::new(),
            wakers: Vec::new(),
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    pub(crate) fn kind(&self) -> OperationKind {
        lock(&self.state).machine.kind()
    }

    pub(crate) fn phase(&self) -> Phase {
        lock(&self.state).machine.phase()
    }

    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.state).machine.is_closed()
    }

    /// See [`Operation::set_callback`]. The former callback does not begin any more; where it runs, this waits until it
    /// has returned, unless called from within it. Returns whether [`Cell::run_callback`] is to be called for the
    /// present outcome, which is still unknown to the program.
    pub(crate) fn set_callback(
        &self,
        callback: Option<C>,
        conflict: bool,
    ) -> Result<bool, Refusal> {
        let mut state = lock(&self.state);
        state.machine.set_callback(callback.is_some(), conflict)?;
        let late = if callback.is_some() {
            let telling = state.telling.take();
            telling.is_some_and(|telling| !telling.is_taken() && telling.claim())
        } else {
            let untold = std::mem::take(&mut state.due) > 0;
            if untold && state.machine.phase() == Phase::Completed {
                state.telling = Some(Arc::default());
            }
            false
        };
        state.due += u32::from(late);
        let former = std::mem::replace(&mut state.callback, callback);
        state.callbacks += 1;
        let set = state.callbacks;
        self.settle(state, |runner| runner < set);
        drop(former);
        Ok(late)
    }

    /// Waits until no callback runs that was set as one of `which`, unless this is within a callback.
    fn settle(&self, mut state: MutexGuard<'_, State<T, E, C>>, which: impl Fn(u64) -> bool) {
        let me = thread::current().id();
        if state.runners.iter().any(|(runner, _)| *runner == me) {
            return;
        }
        while state.runners.iter().any(|(_, set)| which(*set)) {
            state = wait(&self.changed, state);
        }
    }

    /// See [`Operation::start`].
    pub(crate) fn start(
        &self,
        kind: OperationKind,
        completions_taken: bool,
    ) -> Result<CallNumber, Refusal> {
        let mut state = lock(&self.state);
        let started = state.machine.start(kind, completions_taken)?;
        let telling = state.telling.take();
        drop(state);
        if let Some(telling) = telling {
            // There is nothing left to read.
            telling.read();
        }
        drop(started.former);
        Ok(started.call)
    }

    /// See [`Operation::sent`].
    pub(crate) fn sent(&self, call: CallNumber) -> bool {
        lock(&self.state).machine.sent(call)
    }

    /// See [`Operation::cancel`].
    pub(crate) fn cancel(&self) -> Result<Cancel, Refusal> {
        lock(&self.state).machine.cancel()
    }

    /// Ends the tracked call and wakes all waiters. Returns whether the outcome may be wanted, and where to report it.
    pub(crate) fn complete(&self, call: CallNumber, outcome: Result<T, E>) -> Completion {
        let mut state = lock(&self.state);
        if let Err(unwanted) = state.machine.complete(call, outcome) {
            drop(state);
            drop(unwanted);
            return Completion::Unwanted;
        }
        let wakers = std::mem::take(&mut state.wakers);
        let completion = if state.callback.is_some() {
            state.due += 1;
            Completion::Callback
        } else {
            let telling = Arc::default();
            state.telling = Some(Arc::clone(&telling));
            Completion::NoCallback(telling)
        };
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        completion
    }

    /// The outcome, if there is one.
    pub(crate) fn outcome(&self) -> Result<Result<T, E>, Refusal> {
        let mut state = lock(&self.state);
        let outcome = state.machine.outcome().cloned()?;
        state.is_read();
        Ok(outcome)
    }

    /// The outcome of a call that has process information, and whether the caller gets the streams.
    pub(crate) fn process_information(
        &self,
        take: bool,
    ) -> Result<(Result<T, E>, Streams), Refusal> {
        let mut state = lock(&self.state);
        let (outcome, streams) = state.machine.process_information(take)?;
        let outcome = outcome.clone();
        state.is_read();
        Ok((outcome, streams))
    }

    /// Ready when no call is pending; until then `waker` is woken.
    pub(crate) fn poll_done(&self, waker: &Waker) -> Poll<()> {
        let mut state = lock(&self.state);
        if state.machine.is_closed() || state.machine.phase() != Phase::Pending {
            return Poll::Ready(());
        }
        if !state.wakers.iter().any(|w| w.will_wake(waker)) {
            state.wakers.push(waker.clone());
        }
        Poll::Pending
    }

    /// `waker` is not woken any more.
    pub(crate) fn forget(&self, waker: &Waker) {
        lock(&self.state).wakers.retain(|w| !w.will_wake(waker));
    }

    /// Whether the operation has a callback.
    pub(crate) fn has_callback(&self) -> bool {
        lock(&self.state).callback.is_some()
    }

    /// Has `call` run the callback on this thread, unless it was taken away or the operation closed.
    pub(crate) fn run_callback(&self, call: impl FnOnce(C)) {
        let mut state = lock(&self.state);
        let Some(callback) = state.callback.clone() else {
            return;
        };
        if state.due == 0 || !state.machine.callback_begins() {
            return;
        }
        state.due -= 1;
        let set = state.callbacks;
        state.runners.push((thread::current().id(), set));
        drop(state);
        let running = Running(self);
        call(callback);
        drop(running);
    }

    /// Closes it; then waits until none of its callbacks runs, unless this is within one.
    pub(crate) fn close(&self) -> Result<(), Refusal> {
        let mut state = lock(&self.state);
        let outcome = state.machine.close()?;
        state.is_read();
        let callback = state.callback.take();
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        self.settle(lock(&self.state), |_| true);
        drop((outcome, callback));
        Ok(())
    }
}

impl<T, E, C> State<T, E, C> {
    /// The present outcome is known to the program, or cannot be asked for any more.
    fn is_read(&mut self) {
        if let Some(telling) = self.telling.take() {
            telling.read();
        }
    }
}

/// A callback that runs; ends with it, also by a panic.
struct Running<'a, T, E, C>(&'a Cell<T, E, C>);

impl<T, E, C> Drop for Running<'_, T, E, C> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        let me = thread::current().id();
        if let Some(index) = state.runners.iter().rposition(|(runner, _)| *runner == me) {
            state.runners.swap_remove(index);
        }
        state.machine.callback_ends();
        drop(state);
        self.0.changed.notify_all();
    }
}
