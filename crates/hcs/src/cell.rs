//! [`Cell`]: the operation's state machine behind a lock, with everything that waits for it.
//!
//! Who takes the lock: program threads (start, read, wait, close), the connection's reader (complete) and callback
//! threads (begin, end). Nothing is called and nothing of the program's is dropped while it is held: callbacks, wakers
//! and outcomes are moved out first.

use std::task::{Context, Poll, Waker};

use hcs_lifecycle::operation::{CallNumber, Cancel, Operation, Phase, Refusal, Streams};
use hcs_lifecycle::operation_kind::OperationKind;

use super::sync::{Condvar, Deadline, Mutex, lock, thread, wait};

/// Why a wait did not end with an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfinished {
    /// The machine refused.
    Refused(Refusal),
    /// The time was over; the call is still tracked.
    TimedOut,
}

impl From<Refusal> for Unfinished {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
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
    /// Threads inside a callback of this operation.
    runners: Vec<thread::ThreadId>,
    wakers: Vec<Waker>,
}

impl<T: Clone, E: Clone, C: Clone> Cell<T, E, C> {
    pub(crate) fn new() -> Self {
        let state = State {
            machine: Operation::default(),
            callback: None,
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

    /// See [`Operation::set_callback`].
    pub(crate) fn set_callback(&self, callback: Option<C>, conflict: bool) -> Result<(), Refusal> {
        let mut state = lock(&self.state);
        state.machine.set_callback(callback.is_some(), conflict)?;
        let former = std::mem::replace(&mut state.callback, callback);
        drop(state);
        drop(former);
        Ok(())
    }

    /// See [`Operation::start`].
    pub(crate) fn start(
        &self,
        kind: OperationKind,
        completions_taken: bool,
    ) -> Result<CallNumber, Refusal> {
        let started = lock(&self.state).machine.start(kind, completions_taken)?;
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

    /// Ends the tracked call and wakes all who wait. Answers whether somebody may want it, and the callback that has to
    /// be run now, by [`Cell::run_callback`].
    pub(crate) fn complete(&self, call: CallNumber, outcome: Result<T, E>) -> Option<Option<C>> {
        let mut state = lock(&self.state);
        if let Err(unwanted) = state.machine.complete(call, outcome) {
            drop(state);
            drop(unwanted);
            return None;
        }
        let wakers = std::mem::take(&mut state.wakers);
        let callback = state.callback.clone();
        drop(state);
        self.changed.notify_all();
        wakers.into_iter().for_each(Waker::wake);
        Some(callback)
    }

    /// The outcome, if there is one.
    pub(crate) fn outcome(&self) -> Result<Result<T, E>, Refusal> {
        lock(&self.state).machine.outcome().cloned()
    }

    /// Waits for the outcome.
    pub(crate) fn wait(&self, deadline: Deadline) -> Result<Result<T, E>, Unfinished> {
        let mut state = lock(&self.state);
        loop {
            match state.machine.outcome() {
                Ok(outcome) => return Ok(outcome.clone()),
                Err(Refusal::Pending) => {}
                Err(refusal) => return Err(refusal.into()),
            }
            state = deadline
                .wait(&self.changed, state)
                .map_err(|_| Unfinished::TimedOut)?;
        }
    }

    /// The outcome of a call that has process information, and whether the caller gets the streams.
    pub(crate) fn process_information(
        &self,
        take: bool,
    ) -> Result<(Result<T, E>, Streams), Refusal> {
        let mut state = lock(&self.state);
        let (outcome, streams) = state.machine.process_information(take)?;
        Ok((outcome.clone(), streams))
    }

    /// [`Cell::process_information`] once there is an outcome; what cannot have any is refused before waiting.
    pub(crate) fn wait_process_information(
        &self,
        take: bool,
        deadline: Deadline,
    ) -> Result<(Result<T, E>, Streams), Unfinished> {
        let mut state = lock(&self.state);
        loop {
            match state.machine.process_information(take) {
                Ok((outcome, streams)) => return Ok((outcome.clone(), streams)),
                Err(Refusal::Pending) => {}
                Err(refusal) => return Err(refusal.into()),
            }
            state = deadline
                .wait(&self.changed, state)
                .map_err(|_| Unfinished::TimedOut)?;
        }
    }

    /// Ready when no call is pending; until then `context` is woken.
    pub(crate) fn poll_done(&self, context: &Context<'_>) -> Poll<()> {
        let mut state = lock(&self.state);
        if state.machine.is_closed() || state.machine.phase() != Phase::Pending {
            return Poll::Ready(());
        }
        if !state.wakers.iter().any(|w| w.will_wake(context.waker())) {
            state.wakers.push(context.waker().clone());
        }
        Poll::Pending
    }

    /// Runs `callback` on this thread, unless the operation was closed.
    pub(crate) fn run_callback(&self, callback: impl FnOnce()) {
        let mut state = lock(&self.state);
        if !state.machine.callback_begins() {
            return;
        }
        state.runners.push(thread::current().id());
        drop(state);
        let running = Running(self);
        callback();
        drop(running);
    }

    /// Closes it; then waits until none of its callbacks runs, unless this is one of them.
    pub(crate) fn close(&self) -> Result<(), Refusal> {
        let mut state = lock(&self.state);
        let outcome = state.machine.close()?;
        let callback = state.callback.take();
        let wakers = std::mem::take(&mut state.wakers);
        self.changed.notify_all();
        let me = thread::current().id();
        if !state.runners.contains(&me) {
            while state.machine.callbacks_running() > 0 {
                state = wait(&self.changed, state);
            }
        }
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        drop((outcome, callback));
        Ok(())
    }
}

/// A callback that runs; ends with it, also by a panic.
struct Running<'a, T, E, C>(&'a Cell<T, E, C>);

impl<T, E, C> Drop for Running<'_, T, E, C> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        let me = thread::current().id();
        if let Some(index) = state.runners.iter().rposition(|runner| *runner == me) {
            state.runners.swap_remove(index);
        }
        state.machine.callback_ends();
        drop(state);
        self.0.changed.notify_all();
    }
}
