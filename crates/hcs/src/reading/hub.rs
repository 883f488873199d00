//! [`Hub`]: the events of one handle: kept in order, given to one callback, one at a time; and its exit, which is never
//! lost.
//!
//! ```text
//!   post ──▶ queue ──▶ drain (one callback thread at a time) ──▶ callback
//!   exited ─▶ exit status (read by waits, again and again)
//!         └─▶ the exit event: queued when a callback is there, else owed to the first one that is registered
//! ```
//!
//! Completions of calls on the handle that are still unknown are kept for the first callback that takes completions.
//! Other events are dropped while there is no callback. These threads take the lock: the connection's reader (post,
//! exited), program threads (register, wait, close) and the callback thread that drains. Nothing is called while it is
//! held.
//!
//! Races thought through:
//! - *exit and registration*: both under the lock, so the exit is either queued by `exited` or owed and then queued by
//!   `set_callback`; never both.
//! - *unregistration with the exit still queued*: it becomes owed again.
//! - *close and a callback that is about to run*: the drain marks itself running under the lock that close takes.

use std::{
    collections::VecDeque,
    task::{Poll, Waker},
};

use hcs_schema::HResult;

use super::sync::{Condvar, Mutex, MutexGuard, lock, thread, wait};

/// `D` is the exit document, `X` an event, `C` a callback.
#[derive(Debug)]
pub(crate) struct Hub<D, X, C> {
    state: Mutex<State<D, X, C>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<D, X, C> {
    callback: Option<C>,
    /// Whether the callback takes completions of operations.
    completions: bool,
    queue: VecDeque<Item<X>>,
    /// Completions for a callback to come, and how many there may be before those that are taken meanwhile are removed.
    kept: Vec<X>,
    room: usize,
    /// A thread drains the queue or has been told to.
    draining: bool,
    /// The thread inside the callback.
    running: Option<thread::ThreadId>,
    /// Counts callbacks begun, to wait for the one that runs and not for its followers.
    runs: u64,
    closed: bool,
    exit: Exit<D>,
    exit_owed: bool,
    waiting: usize,
    /// Why waits that began before this was counted have to end, and how often that happened.
    given_up: (u64, HResult),
    wakers: Vec<Waker>,
}

#[derive(Debug)]
enum Item<X> {
    Event(X),
    /// An event that came before the callback.
    Late(X),
    Exit,
}

/// How many kept completions are not looked through.
const ROOM: usize = 16;

#[derive(Debug)]
enum Exit<D> {
    Running,
    Exited(D),
    /// There will be no exit: the thing never came to be.
    Never(HResult),
}

/// Whether [`Hub::drain`] has to be run on a callback thread now.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drain {
    /// Yes.
    Needed,
    /// No.
    No,
}

/// When a wait began, see [`Hub::give_up`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark(u64);

impl<D: Clone, X, C: Clone> Hub<D, X, C> {
    pub(crate) fn new() -> Self {
        let state = State {
            callback: None,
            completions: false,
            queue: VecDeque::new(),
            kept: Vec::new(),
            room: ROOM,
            draining: false,
            running: None,
            runs: 0,
            closed: false,
            exit: Exit::Running,
            exit_owed: false,
            waiting: 0,
            given_up: (0, HResult::S_OK),
            wakers: Vec::new(),
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.state).closed
    }

    /// Whether completions of operations on this handle go to its callback.
    pub(crate) fn takes_completions(&self) -> bool {
        let state = lock(&self.state);
        state.completions && state.callback.is_some()
    }

    /// Whether an exit is still to come and a callback, a wait or a task wants it.
    pub(crate) fn awaits_exit(&self) -> bool {
        let state = lock(&self.state);
        let wanted = state.callback.is_some() || state.waiting > 0 || !state.wakers.is_empty();
        wanted && !state.closed && matches!(state.exit, Exit::Running)
    }

    /// Whether a callback is registered.
    pub(crate) fn has_callback(&self) -> bool {
        lock(&self.state).callback.is_some()
    }

    /// Whether an exit is still to come.
    pub(crate) fn lives(&self) -> bool {
        let state = lock(&self.state);
        !state.closed && matches!(state.exit, Exit::Running)
    }

    /// Whether the exit is known.
    pub(crate) fn has_exited(&self) -> bool {
        matches!(lock(&self.state).exit, Exit::Exited(_))
    }

    /// An event happened.
    pub(crate) fn post(&self, event: X) -> Drain {
        let mut state = lock(&self.state);
        if state.closed || state.callback.is_none() {
            drop(state);
            drop(event);
            return Drain::No;
        }
        state.queue.push_back(Item::Event(event));
        state.needs_drain()
    }

    /// A call on the handle has completed. `make(false)` makes the event for the callback that takes it; `make(true)`
    /// makes the event that is kept for a later callback. `is_taken` tells whether a kept event is not needed any more.
    /// Returns whether a callback takes the event.
    pub(crate) fn completed(
        &self,
        make: impl FnOnce(bool) -> X,
        is_taken: impl Fn(&X) -> bool,
    ) -> (bool, Drain) {
        let mut state = lock(&self.state);
        if state.closed {
            return (false, Drain::No);
        }
        if state.completions && state.callback.is_some() {
            state.queue.push_back(Item::Event(make(false)));
            return (true, state.needs_drain());
        }
        if state.kept.len() >= state.room {
            state.kept.retain(|kept| !is_taken(kept));
            state.room = ROOM.max(state.kept.len() * 2);
        }
        state.kept.push(make(true));
        (false, Drain::No)
    }

    /// The thing has exited. The first exit wins.
    pub(crate) fn exited(&self, document: D) -> Drain {
        let mut state = lock(&self.state);
        if state.closed || !matches!(state.exit, Exit::Running) {
            return Drain::No;
        }
        state.exit = Exit::Exited(document);
        let drain = if state.callback.is_some() {
            state.queue.push_back(Item::Exit);
            state.needs_drain()
        } else {
            state.exit_owed = true;
            Drain::No
        };
        self.wake(state);
        drain
    }

    /// The thing never came to be, so it will not exit.
    pub(crate) fn never(&self, reason: HResult) {
        let mut state = lock(&self.state);
        if matches!(state.exit, Exit::Running) {
            state.exit = Exit::Never(reason);
        }
        self.wake(state);
    }

    /// Its exit cannot be learned any more: waits that run now end with `reason`; later ones are not touched.
    pub(crate) fn give_up(&self, reason: HResult) {
        let mut state = lock(&self.state);
        if matches!(state.exit, Exit::Running) {
            state.given_up = (state.given_up.0 + 1, reason);
        }
        self.wake(state);
    }

    /// A mark for waits that begin now.
    pub(crate) fn mark(&self) -> Mark {
        Mark(lock(&self.state).given_up.0)
    }

    fn wake(&self, mut state: MutexGuard<'_, State<D, X, C>>) {
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Puts `callback` in the place of the one before, and waits while that is running, unless this is within it.
    ///
    /// # Errors
    /// `E_HANDLE` when closed.
    pub(crate) fn set_callback(
        &self,
        callback: Option<C>,
        completions: bool,
    ) -> Result<Drain, HResult> {
        let mut state = lock(&self.state);
        if state.closed {
            return Err(HResult::E_HANDLE);
        }
        let registered = callback.is_some();
        let former = std::mem::replace(&mut state.callback, callback);
        state.completions = completions;
        let mut unheard = VecDeque::new();
        let mut drain = Drain::No;
        if registered {
            if completions {
                let kept = std::mem::take(&mut state.kept);
                state.queue.extend(kept.into_iter().map(Item::Late));
            }
            if std::mem::take(&mut state.exit_owed) {
                state.queue.push_back(Item::Exit);
            }
            if !state.queue.is_empty() {
                drain = state.needs_drain();
            }
        } else {
            unheard = std::mem::take(&mut state.queue);
            state.exit_owed |= unheard.iter().any(|item| matches!(item, Item::Exit));
        }
        self.settle(state);
        drop((former, unheard));
        Ok(drain)
    }

    /// Waits until the callback that runs now has returned, unless this is within it.
    fn settle(&self, mut state: MutexGuard<'_, State<D, X, C>>) {
        let (me, run) = (thread::current().id(), state.runs);
        while state.running.is_some_and(|runner| runner != me) && state.runs == run {
            state = wait(&self.changed, state);
        }
    }

    /// Gives all queued events to the callback, on this thread. `event` makes the exit event; `call` must not panic,
    /// and is told whether the event came before the callback.
    pub(crate) fn drain(&self, event: impl Fn(D) -> X, call: impl Fn(&C, X, bool)) {
        loop {
            let mut state = lock(&self.state);
            let Some((callback, item)) = state.next() else {
                return;
            };
            let (next, late) = match (item, &state.exit) {
                (Item::Event(event), _) => (event, false),
                (Item::Late(event), _) => (event, true),
                (Item::Exit, Exit::Exited(document)) => (event(document.clone()), false),
                (Item::Exit, Exit::Running | Exit::Never(_)) => continue,
            };
            state.running = Some(thread::current().id());
            state.runs += 1;
            drop(state);
            let running = Running(self);
            call(&callback, next, late);
            drop(running);
        }
    }

    /// A thread begins to wait for the exit, until [`Hub::wait_ends`].
    pub(crate) fn wait_begins(&self) {
        lock(&self.state).waiting += 1;
    }

    /// See [`Hub::wait_begins`].
    pub(crate) fn wait_ends(&self) {
        lock(&self.state).waiting -= 1;
    }

    /// The exit, if it is there; see [`Hub::poll_exit`].
    pub(crate) fn exit(&self, mark: Mark) -> Poll<Result<D, HResult>> {
        let exit = lock(&self.state).exit_now(mark);
        exit.map_or(Poll::Pending, Poll::Ready)
    }

    /// The exit, or `waker` is woken when it comes.
    ///
    /// # Errors
    /// `E_HANDLE` when closed, why there will be none, or why it was given up since `mark`.
    pub(crate) fn poll_exit(&self, mark: Mark, waker: &Waker) -> Poll<Result<D, HResult>> {
        let mut state = lock(&self.state);
        if let Some(result) = state.exit_now(mark) {
            return Poll::Ready(result);
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

    /// Closes it: no callback begins any more, waits end; then waits for the callback that runs, unless this is within
    /// it.
    ///
    /// # Errors
    /// `E_HANDLE` when closed before.
    pub(crate) fn close(&self) -> Result<(), HResult> {
        let mut state = lock(&self.state);
        if state.closed {
            return Err(HResult::E_HANDLE);
        }
        state.closed = true;
        let callback = state.callback.take();
        let queue = std::mem::take(&mut state.queue);
        let kept = std::mem::take(&mut state.kept);
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        self.settle(lock(&self.state));
        drop((callback, queue, kept));
        Ok(())
    }
}

impl<D: Clone, X, C: Clone> State<D, X, C> {
    fn needs_drain(&mut self) -> Drain {
        if std::mem::replace(&mut self.draining, true) {
            Drain::No
        } else {
            Drain::Needed
        }
    }

    /// Returns the next event and the callback that gets it. If there is none, notes the end of draining.
    fn next(&mut self) -> Option<(C, Item<X>)> {
        let next = self.callback.clone().zip(self.queue.pop_front());
        self.draining = next.is_some();
        next
    }

    fn exit_now(&self, mark: Mark) -> Option<Result<D, HResult>> {
        match &self.exit {
            _ if self.closed => Some(Err(HResult::E_HANDLE)),
            Exit::Exited(document) => Some(Ok(document.clone())),
            Exit::Never(reason) => Some(Err(*reason)),
            Exit::Running => (self.given_up.0 != mark.0).then_some(Err(self.given_up.1)),
        }
    }
}

/// A callback that runs.
struct Running<'a, D, X, C>(&'a Hub<D, X, C>);

impl<D, X, C> Drop for Running<'_, D, X, C> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.running = None;
        drop(state);
        self.0.changed.notify_all();
    }
}
