//! [`Turn`] over a connection of the model: a queue of answers, each of which ends the wait of one operation.
//!
//! Under every schedule, the thread that has the turn hands out each answer that comes. Shuttle reports a wait as a
//! deadlock when no thread reads for it.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Poll, Wake, Waker},
};

use hcs_lifecycle::{operation::CallNumber, operation_kind::OperationKind};
use shuttle::{check_random, thread};

use super::{
    SCHEDULES, TestCell,
    sync::{Condvar, Deadline, Mutex, lock},
    turn::{Attendance, ReadOutcome, Source, Turn},
};

type TestTurn = Turn<Line>;
type Answered = (Arc<TestCell>, CallNumber);

/// The messages of the service, and the bell of the reading thread.
#[derive(Default)]
struct Wire {
    state: Mutex<Arrived>,
    changed: Condvar,
    /// Answers to come.
    owed: Mutex<usize>,
}

#[derive(Default)]
struct Arrived {
    answers: VecDeque<Answered>,
    over: bool,
    given_up: bool,
    rung: bool,
}

impl Wake for Wire {
    fn wake(self: Arc<Self>) {
        lock(&self.state).rung = true;
        self.changed.notify_all();
    }
}

impl Wire {
    fn send(&self, answer: Answered) {
        lock(&self.state).answers.push_back(answer);
        self.changed.notify_all();
    }

    fn end(&self) {
        lock(&self.state).over = true;
        self.changed.notify_all();
    }
}

/// The reading end.
struct Line(Arc<Wire>);

impl Source for Line {
    fn bell(&self) -> Waker {
        Waker::from(Arc::clone(&self.0))
    }

    fn step(&mut self, deadline: Deadline) -> ReadOutcome {
        let mut state = lock(&self.0.state);
        loop {
            if let Some((cell, call)) = state.answers.pop_front() {
                drop(state);
                *lock(&self.0.owed) -= 1;
                cell.complete(call, Ok(7));
                return ReadOutcome::Done;
            }
            if state.over {
                return ReadOutcome::Over;
            }
            if std::mem::take(&mut state.rung) {
                return ReadOutcome::Done;
            }
            state = match deadline.wait(&self.0.changed, state) {
                Ok(state) => state,
                Err(_) => return ReadOutcome::TimedOut,
            };
        }
    }

    fn over(self) {
        lock(&self.0.state).given_up = true;
        self.0.changed.notify_all();
    }

    fn owes(&self) -> bool {
        *lock(&self.0.owed) > 0
    }
}

struct Connection {
    wire: Arc<Wire>,
    turn: Arc<TestTurn>,
}

impl Connection {
    /// With a source and a keeper that is a thread, as in the client.
    fn new() -> Self {
        Self::with_keeper(true)
    }

    /// Without a keeper, no thread takes a source that a waiting thread fails to pass on.
    fn with_keeper(startable: bool) -> Self {
        let wire = Arc::<Wire>::default();
        let turn = Arc::new_cyclic(|turn: &std::sync::Weak<TestTurn>| {
            let turn = turn.clone();
            Turn::new(move || {
                if startable {
                    let turn = turn.upgrade().unwrap();
                    thread::spawn(move || turn.keep());
                }
                startable
            })
        });
        turn.put(Line(Arc::clone(&wire)));
        Self { wire, turn }
    }

    /// A call whose answer comes at any time.
    fn call(&self) -> Arc<TestCell> {
        let cell = Arc::new(TestCell::new());
        let call = cell.start(OperationKind::Start, false).unwrap();
        *lock(&self.wire.owed) += 1;
        let (wire, answered) = (Arc::clone(&self.wire), Arc::clone(&cell));
        thread::spawn(move || wire.send((answered, call)));
        cell
    }

    fn wait(&self, mut cell: &TestCell, deadline: Deadline) -> bool {
        match self.turn.wait(deadline, &mut cell) {
            Some(outcome) => {
                assert_eq!(outcome, Ok(Ok(7)));
                true
            }
            None => false,
        }
    }
}

impl Drop for Connection {
    /// The keeper, if there is one, leaves.
    fn drop(&mut self) {
        self.wire.end();
        self.turn.watch();
    }
}

fn waits(connection: &Arc<Connection>, deadline: Deadline) -> thread::JoinHandle<bool> {
    let (connection, cell) = (Arc::clone(connection), connection.call());
    thread::spawn(move || connection.wait(&cell, deadline))
}

#[test]
fn each_waiter_gets_its_answer_whichever_thread_reads() {
    check_random(
        || {
            let connection = Arc::new(Connection::with_keeper(false));
            let waiters: Vec<_> = (0..3)
                .map(|_| waits(&connection, Deadline::Never))
                .collect();
            assert!(waiters.into_iter().all(|waiter| waiter.join().unwrap()));
        },
        SCHEDULES,
    );
}

#[test]
fn a_thread_that_gives_up_waiting_passes_the_reading_on() {
    check_random(
        || {
            let connection = Arc::new(Connection::with_keeper(false));
            let patient = waits(&connection, Deadline::Never);
            let hasty = waits(&connection, Deadline::Now);
            let other = waits(&connection, Deadline::Never);
            assert!(patient.join().unwrap() && other.join().unwrap());
            hasty.join().unwrap();
        },
        SCHEDULES,
    );
}

#[test]
fn a_wait_that_another_thread_ends_ends_also_where_it_reads() {
    check_random(
        || {
            let connection = Arc::new(Connection::with_keeper(false));
            // Never answered.
            let cell = Arc::new(TestCell::new());
            cell.start(OperationKind::Start, false).unwrap();
            let (reading, waited) = (Arc::clone(&connection), Arc::clone(&cell));
            let waiter = thread::spawn(move || {
                let mut waited = &*waited;
                let outcome = reading.turn.wait(Deadline::Never, &mut waited);
                assert!(matches!(outcome, Some(Err(_))), "{outcome:?}");
            });
            let other = waits(&connection, Deadline::Never);
            cell.close().unwrap();
            waiter.join().unwrap();
            assert!(other.join().unwrap());
        },
        SCHEDULES,
    );
}

/// Counts as woken for good, once.
#[derive(Default)]
struct Task {
    woken: Mutex<bool>,
    changed: Condvar,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        *lock(&self.woken) = true;
        self.changed.notify_all();
    }
}

impl Task {
    fn sleep(&self) {
        let mut woken = lock(&self.woken);
        while !*woken {
            woken = super::sync::wait(&self.changed, woken);
        }
    }
}

#[test]
fn a_watcher_is_told_beside_any_waiters() {
    check_random(
        || {
            let connection = Arc::new(Connection::new());
            let waiter = waits(&connection, Deadline::Never);
            let (task, cell) = (Arc::<Task>::default(), connection.call());
            connection.turn.watch();
            if cell.poll_done(&Waker::from(Arc::clone(&task))).is_pending() {
                task.sleep();
            }
            connection.turn.unwatch();
            assert!(waiter.join().unwrap());
            assert!(waits(&connection, Deadline::Never).join().unwrap());
        },
        SCHEDULES,
    );
}

#[test]
fn an_answer_that_no_thread_waits_for_any_more_is_read() {
    check_random(
        || {
            let connection = Arc::new(Connection::new());
            let (task, cell) = (Arc::<Task>::default(), connection.call());
            connection.turn.nudge();
            let waiter = waits(&connection, Deadline::Never);
            if cell.poll_done(&Waker::from(Arc::clone(&task))).is_pending() {
                task.sleep();
            }
            waiter.join().unwrap();
        },
        SCHEDULES,
    );
}

#[test]
fn an_attendance_reads_for_other_threads_and_leaves_it_to_them() {
    check_random(
        || {
            let connection = Arc::new(Connection::with_keeper(false));
            let waiter = waits(&connection, Deadline::Never);
            // Woken by its own bell, and by messages that come while it reads.
            let bell = Arc::<Task>::default();
            let mut attendance =
                Attendance::new(Arc::clone(&connection.turn), Waker::from(Arc::clone(&bell)));
            let cell = connection.call();
            let waker = Waker::from(Arc::clone(&bell));
            for _ in 0..3 {
                attendance.step();
                if cell.poll_done(&waker).is_ready() {
                    break;
                }
                if attendance.source().is_none() {
                    // Another one reads, so either it is told or the reading is given to it.
                    bell.sleep();
                    *lock(&bell.woken) = false;
                }
                thread::yield_now();
            }
            drop(attendance);
            assert!(connection.wait(&cell, Deadline::Never));
            assert!(waiter.join().unwrap());
        },
        SCHEDULES,
    );
}

#[test]
fn a_new_source_is_read_by_those_who_waited_through_the_end_of_the_old_one() {
    check_random(
        || {
            let connection = Arc::new(Connection::new());
            let cell = Arc::new(TestCell::new());
            let call = cell.start(OperationKind::Start, false).unwrap();
            let (waiting, waited) = (Arc::clone(&connection), Arc::clone(&cell));
            let waiter = thread::spawn(move || waiting.wait(&waited, Deadline::Never));
            let watched = Arc::clone(&connection);
            let watcher = thread::spawn(move || watched.turn.watch());
            connection.wire.end();
            let wire = Arc::<Wire>::default();
            *lock(&wire.owed) += 1;
            wire.send((cell, call));
            // The reading thread finds the end; a new source follows below.
            connection.turn.catch_up();
            let mut state = lock(&connection.wire.state);
            while !state.given_up {
                state = super::sync::wait(&connection.wire.changed, state);
            }
            drop(state);
            connection.turn.put(Line(Arc::clone(&wire)));
            assert!(waiter.join().unwrap());
            watcher.join().unwrap();
            wire.end();
        },
        SCHEDULES,
    );
}

#[test]
fn a_waker_that_was_left_by_a_wait_that_is_over_is_taken_back() {
    check_random(
        || {
            let connection = Connection::new();
            let cell = Arc::new(TestCell::new());
            cell.start(OperationKind::Start, false).unwrap();
            assert!(!connection.wait(&cell, Deadline::Now));
            assert_eq!(Arc::strong_count(&connection.wire), 2, "the line and ours");
            assert!(matches!(cell.poll_done(Waker::noop()), Poll::Pending));
        },
        SCHEDULES,
    );
}
