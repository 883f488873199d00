//! [`Turn`]: decides which thread reads the connection. A thread that waits for an answer reads it itself, so that no
//! other thread has to pass the answer on. Only while no thread waits, a thread of the library reads: the keeper.
//!
//! ```text
//!                    take                                   leave
//!   (none) ─put─▶ Free ──▶ Taken by a waiting thread ─────────────▶ the first of the waiting threads
//!      ▲            ▲                 │   │                          │ no thread waits
//!      └── Over ────┼─────────────────┘   └──▶ hands out, until its own wait is over
//!                   └────────────────────────────────────────────────┘
//!   Free, with a watcher      ──▶ the keeper takes it at once, and keeps it while there is a watcher
//!   Free, with answers owed   ──▶ the keeper takes it after PATIENCE without a reader, until a thread asks for it
//! ```
//!
//! A watcher wants to hear of answers and events without waiting: a callback, a task, an event stream, or a program
//! that asks an operation again and again. Owed answers belong to calls that no thread waits for at the moment.
//!
//! Locks: `state` is never held while something is read or called; an entry's lock is taken within it, never the other
//! way round.
//!
//! Races thought through:
//! - *a source is left while a thread joins the queue*: both under `state`, so there is never a free source beside a
//!   thread that waits for one.
//! - *a thread's wait ends when it is just being given the source*: it finds it in its entry when it leaves, and passes
//!   it on.
//! - *a wait ends by another thread while its own reads*: its waker is then the source's bell, which ends the reading.
//!   The condition is checked after the waker was left, so that no end is missed.
//! - *a watcher begins while a thread reads*: that thread sees it when it leaves.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Poll, Wake, Waker},
};

use super::sync::{Condvar, Deadline, Mutex, PATIENCE, lock, wait};

/// The thing to read.
pub(crate) trait Source: Send + 'static {
    /// Ends a [`Source::step`] that waits, or keeps the next from waiting.
    fn bell(&self) -> Waker;

    /// Waits until something comes, at most until `deadline` or the bell, and hands it out.
    fn step(&mut self, deadline: Deadline) -> ReadOutcome;

    /// It came to its end and was given up; from now on there may be another.
    fn over(self);

    /// Whether data is to come that perhaps no thread waits for. Called under a lock: quick, and calls nothing.
    fn owes(&self) -> bool;
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadOutcome {
    /// It has handed out something, or the bell rang.
    Done,
    /// The time was over.
    TimedOut,
    /// It has come to its end.
    Over,
}

/// An event that a thread waits for.
pub(crate) trait Awaited {
    /// The result of the wait.
    type Output;

    /// Returns the result, or has `waker` woken when it is worth asking again.
    fn poll(&mut self, waker: &Waker) -> Poll<Self::Output>;

    /// `waker` is not to be woken any more.
    fn forget(&mut self, waker: &Waker);
}

/// The one source of a connection, and all threads that read it or want to.
pub(crate) struct Turn<S> {
    state: Mutex<State<S>>,
    /// For the keeper.
    wanted: Condvar,
    /// Starts a thread that calls [`Turn::keep`]; false when it cannot.
    start_keeper: Box<dyn Fn() -> bool + Send + Sync>,
}

impl<S> std::fmt::Debug for Turn<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Turn").finish_non_exhaustive()
    }
}

struct State<S> {
    source: Place<S>,
    /// The threads that wait for the source, or for the end of their wait.
    waiting: VecDeque<Arc<QueueEntry<S>>>,
    watching: usize,
    keeper: Keeper,
    /// A thread had to wait while the keeper read.
    asked_for: bool,
    /// Counts how often it was left.
    left: u64,
}

enum Place<S> {
    /// There is none.
    Nowhere,
    Free(S),
    /// A thread reads it.
    Taken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeper {
    /// There is no such thread.
    Never,
    /// It sleeps until it is woken.
    Asleep,
    /// It does something, or looks again soon.
    Awake,
}

/// Where a thread waits while another reads.
pub(crate) struct QueueEntry<S> {
    state: Mutex<EntryState<S>>,
    changed: Condvar,
    /// Woken along, for threads that sleep elsewhere.
    elsewhere: Option<Waker>,
}

struct EntryState<S> {
    woken: bool,
    given: Option<S>,
}

impl<S> QueueEntry<S> {
    fn new(elsewhere: Option<Waker>) -> Arc<Self> {
        let state = EntryState {
            woken: false,
            given: None,
        };
        Arc::new(Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            elsewhere,
        })
    }

    fn give(&self, source: S) {
        lock(&self.state).given = Some(source);
        self.changed.notify_one();
        if let Some(elsewhere) = &self.elsewhere {
            elsewhere.wake_by_ref();
        }
    }

    /// Takes the source that was given to it, if there is one.
    fn given(&self) -> Option<S> {
        lock(&self.state).given.take()
    }

    /// Sleeps until woken or given the source; false when the time was over before that.
    fn sleep(&self, deadline: Deadline) -> bool {
        let mut state = lock(&self.state);
        loop {
            if std::mem::take(&mut state.woken) || state.given.is_some() {
                return true;
            }
            match deadline.wait(&self.changed, state) {
                Ok(guard) => state = guard,
                Err(_) => return false,
            }
        }
    }
}

impl<S: Send> Wake for QueueEntry<S> {
    fn wake(self: Arc<Self>) {
        lock(&self.state).woken = true;
        self.changed.notify_one();
    }
}

/// The source in the hands of the thread that reads; dropped, also by a panic, it is left.
pub(crate) struct Lead<'a, S: Source> {
    turn: &'a Turn<S>,
    source: Option<S>,
}

impl<'a, S: Source> Lead<'a, S> {
    fn new(turn: &'a Turn<S>, source: S) -> Self {
        Self {
            turn,
            source: Some(source),
        }
    }

    /// [`Source::step`].
    fn step(&mut self, deadline: Deadline) -> ReadOutcome {
        let Some(source) = &mut self.source else {
            return ReadOutcome::Over;
        };
        let step = source.step(deadline);
        if step == ReadOutcome::Over
            && let Some(source) = self.source.take()
        {
            self.turn.gone(source);
        }
        step
    }
}

impl<S: Source> Drop for Lead<'_, S> {
    fn drop(&mut self) {
        if let Some(source) = self.source.take() {
            self.turn.put(source);
        }
    }
}

/// How reading for a wait ended.
enum Led<T> {
    Ready(T),
    TimedOut,
    Over,
}

/// How sitting ended.
enum Sat<S, T> {
    Ready(T),
    TimedOut,
    Given(S),
}

impl<S: Source> Turn<S> {
    pub(crate) fn new(start_keeper: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        let state = State {
            source: Place::Nowhere,
            waiting: VecDeque::new(),
            watching: 0,
            keeper: Keeper::Never,
            asked_for: false,
            left: 0,
        };
        Self {
            state: Mutex::new(state),
            wanted: Condvar::new(),
            start_keeper: Box::new(start_keeper),
        }
    }

    /// Waits for `awaited`, and reads while no other thread does. Returns `None` when the time is over first.
    pub(crate) fn wait<A: Awaited>(
        &self,
        deadline: Deadline,
        awaited: &mut A,
    ) -> Option<A::Output> {
        loop {
            let source = match self.take() {
                Some(source) => source,
                None => match self.sit(deadline, awaited) {
                    Sat::Ready(output) => return Some(output),
                    Sat::TimedOut => return None,
                    Sat::Given(source) => source,
                },
            };
            match self.lead(source, deadline, awaited) {
                Led::Ready(output) => return Some(output),
                Led::TimedOut => return None,
                Led::Over => {}
            }
        }
    }

    fn lead<A: Awaited>(&self, source: S, deadline: Deadline, awaited: &mut A) -> Led<A::Output> {
        let bell = source.bell();
        let mut lead = Lead::new(self, source);
        loop {
            if let Poll::Ready(output) = awaited.poll(&bell) {
                return Led::Ready(output);
            }
            match lead.step(deadline) {
                ReadOutcome::Done => {}
                ReadOutcome::TimedOut => {
                    awaited.forget(&bell);
                    return Led::TimedOut;
                }
                ReadOutcome::Over => {
                    awaited.forget(&bell);
                    return Led::Over;
                }
            }
        }
    }

    fn sit<A: Awaited>(&self, deadline: Deadline, awaited: &mut A) -> Sat<S, A::Output> {
        let entry = QueueEntry::new(None);
        if let Some(source) = self.join_queue(&entry) {
            return Sat::Given(source);
        }
        let waker = Waker::from(Arc::clone(&entry));
        loop {
            if let Poll::Ready(output) = awaited.poll(&waker) {
                self.leave_queue(&entry);
                return Sat::Ready(output);
            }
            let slept = entry.sleep(deadline);
            if let Some(source) = entry.given() {
                awaited.forget(&waker);
                return Sat::Given(source);
            }
            if !slept {
                awaited.forget(&waker);
                self.leave_queue(&entry);
                return Sat::TimedOut;
            }
        }
    }

    /// Returns the source, if no thread has it.
    fn take(&self) -> Option<S> {
        lock(&self.state).take()
    }

    /// Returns the source, if no thread has it; otherwise a later reader gives it to `entry`.
    fn join_queue(&self, entry: &Arc<QueueEntry<S>>) -> Option<S> {
        let mut state = lock(&self.state);
        let source = state.take();
        if source.is_none() {
            state.asked_for = true;
            state.waiting.push_back(Arc::clone(entry));
        }
        source
    }

    fn leave_queue(&self, entry: &Arc<QueueEntry<S>>) {
        lock(&self.state)
            .waiting
            .retain(|other| !Arc::ptr_eq(other, entry));
        // Given meanwhile: then it is the next one's.
        if let Some(source) = entry.given() {
            self.put(source);
        }
    }

    /// Lays down a new source, or one that a thread leaves.
    pub(crate) fn put(&self, source: S) {
        let mut state = lock(&self.state);
        if state.lay_down(source) {
            state.left += 1;
            self.call_keeper(&mut state);
        }
    }

    /// The source has come to its end. Only then is it told, as the next may be put here at once.
    fn gone(&self, source: S) {
        let mut state = lock(&self.state);
        state.source = Place::Nowhere;
        drop(state);
        self.wanted.notify_one();
        source.over();
    }

    /// Hands out everything that has come already, if no thread reads.
    pub(crate) fn catch_up(&self) {
        let Some(source) = self.take() else {
            return;
        };
        let mut lead = Lead::new(self, source);
        while lead.step(Deadline::now()) == ReadOutcome::Done {}
        if let Some(source) = lead.source.take() {
            // Back as it was: a thread that is about to make a call will wait, or watch, or ask for the keeper.
            let mut state = lock(&self.state);
            if state.lay_down(source) && state.watching > 0 {
                self.call_keeper(&mut state);
            }
        }
    }

    /// To be called when answers may be owed that no thread waits for any more.
    pub(crate) fn nudge(&self) {
        self.call_keeper(&mut lock(&self.state));
    }

    /// Adds a watcher, which hears everything that comes, without waiting, until [`Turn::unwatch`].
    pub(crate) fn watch(&self) {
        let mut state = lock(&self.state);
        state.watching += 1;
        self.call_keeper(&mut state);
    }

    /// Ends one [`Turn::watch`].
    pub(crate) fn unwatch(&self) {
        lock(&self.state).watching -= 1;
    }

    /// Makes the keeper look, if there is work for it. If the keeper cannot be started now, the next call tries again.
    fn call_keeper(&self, state: &mut State<S>) {
        if !state.is_wanted() {
            return;
        }
        match state.keeper {
            Keeper::Never if (self.start_keeper)() => state.keeper = Keeper::Awake,
            Keeper::Asleep => {
                state.keeper = Keeper::Awake;
                self.wanted.notify_one();
            }
            // It may sleep for PATIENCE at the moment, which is too long for a watcher.
            Keeper::Awake if state.watching > 0 => self.wanted.notify_one(),
            Keeper::Never | Keeper::Awake => {}
        }
    }

    /// The life of the keeper, which ends with the source.
    pub(crate) fn keep(&self) {
        let mut state = lock(&self.state);
        // How often the source had been left when it was last seen free.
        let mut seen = None;
        loop {
            let patient = state.watching == 0 && seen != Some(state.left);
            if matches!(state.source, Place::Nowhere) {
                state.keeper = Keeper::Never;
                return;
            }
            if !state.is_wanted() {
                seen = None;
                state.keeper = Keeper::Asleep;
                state = wait(&self.wanted, state);
                state.keeper = Keeper::Awake;
            } else if patient {
                seen = Some(state.left);
                state = match Deadline::after(Some(PATIENCE)).wait(&self.wanted, state) {
                    Ok(state) | Err(state) => state,
                };
            } else if let Some(source) = state.take() {
                state.asked_for = false;
                drop(state);
                self.read(source);
                seen = None;
                state = lock(&self.state);
            }
        }
    }

    /// Reads while there is a watcher, or while answers are owed and no thread asks for the source.
    fn read(&self, source: S) {
        let mut lead = Lead::new(self, source);
        while lead.step(Deadline::after(None)) != ReadOutcome::Over {
            let state = lock(&self.state);
            let owes = lead.source.as_ref().is_some_and(Source::owes) && !state.asked_for;
            if state.watching == 0 && !owes {
                break;
            }
        }
    }
}

impl<S: Source> State<S> {
    fn take(&mut self) -> Option<S> {
        if !matches!(self.source, Place::Free(_)) {
            return None;
        }
        match std::mem::replace(&mut self.source, Place::Taken) {
            Place::Free(source) => Some(source),
            Place::Nowhere | Place::Taken => None,
        }
    }

    /// Gives the source to the next waiting thread. Returns true when no thread waits, so that the source is free.
    fn lay_down(&mut self, source: S) -> bool {
        if let Some(entry) = self.waiting.pop_front() {
            entry.give(source);
            return false;
        }
        self.source = Place::Free(source);
        true
    }

    /// Whether the keeper should read, at once or soon.
    fn is_wanted(&self) -> bool {
        match &self.source {
            Place::Free(source) => self.watching > 0 || source.owes(),
            Place::Nowhere | Place::Taken => false,
        }
    }
}

/// For a thread that sleeps elsewhere, in its own `poll(2)`, and reads whenever no other thread does.
pub(crate) struct Attendance<S: Source> {
    turn: Arc<Turn<S>>,
    entry: Arc<QueueEntry<S>>,
    source: Option<S>,
}

impl<S: Source> Attendance<S> {
    /// `elsewhere` wakes the thread.
    pub(crate) fn new(turn: Arc<Turn<S>>, elsewhere: Waker) -> Self {
        let entry = QueueEntry::new(Some(elsewhere));
        let source = turn.join_queue(&entry);
        Self {
            turn,
            entry,
            source,
        }
    }

    /// The source that this thread has to watch; `None` while another thread reads.
    pub(crate) fn source(&self) -> Option<&S> {
        self.source.as_ref()
    }

    /// Hands out everything that has come.
    pub(crate) fn step(&mut self) {
        if self.source.is_none() {
            self.source = self.entry.given();
        }
        while let Some(source) = &mut self.source {
            match source.step(Deadline::now()) {
                ReadOutcome::Done => {}
                ReadOutcome::TimedOut => return,
                ReadOutcome::Over => {
                    if let Some(source) = self.source.take() {
                        self.turn.gone(source);
                    }
                    self.source = self.turn.join_queue(&self.entry);
                }
            }
        }
    }
}

impl<S: Source> Drop for Attendance<S> {
    fn drop(&mut self) {
        self.turn.leave_queue(&self.entry);
        if let Some(source) = self.source.take() {
            self.turn.put(source);
        }
    }
}
