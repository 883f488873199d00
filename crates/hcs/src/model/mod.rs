//! [`crate::reading::cell`], [`crate::reading::hub`] and [`crate::reading::turn`] compiled once more over shuttle, and
//! run under many schedules.
//!
//! A schedule in which a thread waits for ever is reported by shuttle as a deadlock.

#[expect(dead_code, reason = "not all of it is modelled")]
#[path = "../reading/cell.rs"]
mod cell;
mod endings;
#[expect(dead_code, reason = "not all of it is modelled")]
#[path = "../reading/hub.rs"]
mod hub;
mod inquiries;
#[path = "../reading/inquiry.rs"]
mod inquiry;
mod reading;
mod repeats;
mod sync;
#[path = "../reading/turn.rs"]
mod turn;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Poll, Waker},
};

use hcs_lifecycle::{
    operation::{CallNumber, Refusal},
    operation_kind::OperationKind,
};
use hcs_schema::HResult;
use shuttle::{check_random, thread};

use cell::{Cell, Completion, Telling};
use hub::{Drain, Hub, Mark};
use sync::Deadline;
use turn::{Awaited, ReadOutcome, Source, Turn};

/// Schedules tried per test.
const SCHEDULES: usize = 500;

type TestCell = Cell<u32, (), ()>;

/// The source for waits that need no reading.
struct Nothing;

impl Source for Nothing {
    fn bell(&self) -> Waker {
        Waker::noop().clone()
    }

    fn step(&mut self, _deadline: Deadline) -> ReadOutcome {
        ReadOutcome::Over
    }

    fn over(self) {}

    fn owes(&self) -> bool {
        false
    }
}

impl Awaited for &TestCell {
    type Output = Result<Result<u32, ()>, Refusal>;

    fn poll(&mut self, waker: &Waker) -> Poll<Self::Output> {
        self.poll_done(waker).map(|()| self.outcome())
    }

    fn forget(&mut self, waker: &Waker) {
        TestCell::forget(self, waker);
    }
}

/// Waits as an operation does that another thread reads for; `None` when the time was over.
fn wait(mut cell: &TestCell, deadline: Deadline) -> Option<Result<Result<u32, ()>, Refusal>> {
    Turn::<Nothing>::new(|| false).wait(deadline, &mut cell)
}

fn started() -> (Arc<TestCell>, CallNumber) {
    let cell = TestCell::new();
    cell.set_callback(Some(()), false).unwrap();
    let call = cell.start(OperationKind::Start, false).unwrap();
    (Arc::new(cell), call)
}

/// Completes as the connection does, and runs the callback as the pool does.
fn complete(cell: &Arc<TestCell>, call: CallNumber, callback: impl FnOnce() + Send + 'static) {
    if matches!(cell.complete(call, Ok(7)), Completion::Callback) {
        let cell = Arc::clone(cell);
        thread::spawn(move || cell.run_callback(|()| callback()));
    }
}

#[test]
fn a_waiter_sees_the_outcome_however_it_races_the_completion() {
    check_random(
        || {
            let cell = Arc::new(TestCell::new());
            let call = cell.start(OperationKind::Start, false).unwrap();
            let waiting = Arc::clone(&cell);
            let waiter = thread::spawn(move || wait(&waiting, Deadline::Never));
            let completion = cell.complete(call, Ok(7));
            assert!(matches!(completion, Completion::NoCallback(_)));
            assert_eq!(cell.outcome(), Ok(Ok(7)));
            assert_eq!(waiter.join().unwrap(), Some(Ok(Ok(7))));
        },
        SCHEDULES,
    );
}

/// A callback that races `end`, after which it must neither run nor begin.
fn callback_ends_with(end: impl Fn(&TestCell) + Send + Sync + 'static) {
    check_random(
        move || {
            let (cell, call) = started();
            let (begun, ended) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
            let (in_begun, in_ended) = (Arc::clone(&begun), Arc::clone(&ended));
            let completing = Arc::clone(&cell);
            let completer = thread::spawn(move || {
                complete(&completing, call, move || {
                    in_begun.fetch_add(1, Ordering::SeqCst);
                    thread::yield_now();
                    in_ended.fetch_add(1, Ordering::SeqCst);
                });
            });
            end(&cell);
            let at_end = begun.load(Ordering::SeqCst);
            assert_eq!(ended.load(Ordering::SeqCst), at_end, "a callback still ran");
            completer.join().unwrap();
            thread::yield_now();
            assert_eq!(begun.load(Ordering::SeqCst), at_end, "a callback began");
        },
        SCHEDULES,
    );
}

#[test]
fn no_callback_runs_once_close_has_returned() {
    callback_ends_with(|cell| cell.close().unwrap());
}

#[test]
fn no_callback_runs_once_it_was_taken_away() {
    callback_ends_with(|cell| {
        cell.set_callback(None, false).unwrap();
    });
}

#[test]
fn a_callback_may_close_its_own_operation_while_others_wait() {
    check_random(
        || {
            let (cell, call) = started();
            let waiting = Arc::clone(&cell);
            let waiter = thread::spawn(move || wait(&waiting, Deadline::Never));
            let closing = Arc::clone(&cell);
            complete(&cell, call, move || closing.close().unwrap());
            let result = waiter.join().unwrap();
            assert!(
                matches!(result, Some(Ok(Ok(7)) | Err(Refusal::Closed))),
                "{result:?}"
            );
        },
        SCHEDULES,
    );
}

#[test]
fn a_timed_out_wait_leaves_the_operation_tracked() {
    check_random(
        || {
            let (cell, call) = started();
            let completing = Arc::clone(&cell);
            let completer = thread::spawn(move || complete(&completing, call, || {}));
            let early = wait(&cell, Deadline::Now);
            assert!(matches!(early, Some(Ok(Ok(7))) | None), "{early:?}");
            assert_eq!(wait(&cell, Deadline::Never), Some(Ok(Ok(7))));
            completer.join().unwrap();
        },
        SCHEDULES,
    );
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Event(u32),
    Exit(u32),
}

type Log = Arc<std::sync::Mutex<Vec<Seen>>>;
type TestHub = Hub<u32, Seen, Log>;

/// A wait for the exit.
struct Ending<'a>(&'a TestHub, Mark);

impl Awaited for Ending<'_> {
    type Output = Result<u32, HResult>;

    fn poll(&mut self, waker: &Waker) -> Poll<Self::Output> {
        self.0.poll_exit(self.1, waker)
    }

    fn forget(&mut self, waker: &Waker) {
        self.0.forget(waker);
    }
}

fn wait_exit(hub: &TestHub, mark: Mark) -> Result<u32, HResult> {
    Turn::<Nothing>::new(|| false)
        .wait(Deadline::Never, &mut Ending(hub, mark))
        .unwrap()
}

fn drain(hub: &Arc<TestHub>, needed: Drain) -> Option<thread::JoinHandle<()>> {
    let hub = Arc::clone(hub);
    (needed == Drain::Needed).then(|| {
        thread::spawn(move || {
            hub.drain(Seen::Exit, |log, event, _late| {
                thread::yield_now();
                log.lock().unwrap().push(event);
            });
        })
    })
}

fn seen(log: &Log) -> Vec<Seen> {
    log.lock().unwrap().clone()
}

#[test]
fn the_exit_is_seen_once_however_it_races_the_registration() {
    check_random(
        || {
            let hub = Arc::new(TestHub::new());
            let exiting = Arc::clone(&hub);
            let exit = thread::spawn(move || {
                let needed = exiting.exited(3);
                if let Some(drained) = drain(&exiting, needed) {
                    drained.join().unwrap();
                }
                let again = exiting.exited(4);
                assert_eq!(again, Drain::No, "a second exit");
            });
            let log = Log::default();
            let needed = hub.set_callback(Some(Arc::clone(&log)), false).unwrap();
            let drained = drain(&hub, needed);
            assert_eq!(wait_exit(&hub, hub.mark()), Ok(3));
            exit.join().unwrap();
            if let Some(drained) = drained {
                drained.join().unwrap();
            }
            assert_eq!(seen(&log), [Seen::Exit(3)]);
        },
        SCHEDULES,
    );
}

#[test]
fn events_keep_their_order_and_none_comes_after_close() {
    check_random(
        || {
            let hub = Arc::new(TestHub::new());
            let log = Log::default();
            let none = hub.set_callback(Some(Arc::clone(&log)), false).unwrap();
            assert_eq!(none, Drain::No);
            let posting = Arc::clone(&hub);
            let poster = thread::spawn(move || {
                for number in 0..3 {
                    let needed = posting.post(Seen::Event(number));
                    drain(&posting, needed);
                }
                let needed = posting.exited(9);
                drain(&posting, needed);
            });
            hub.close().unwrap();
            let at_close = seen(&log);
            poster.join().unwrap();
            thread::yield_now();
            assert_eq!(seen(&log), at_close, "an event after close");
            let all = [
                Seen::Event(0),
                Seen::Event(1),
                Seen::Event(2),
                Seen::Exit(9),
            ];
            assert_eq!(at_close, all[..at_close.len()]);
        },
        SCHEDULES,
    );
}

#[test]
fn an_unheard_exit_goes_to_the_next_callback() {
    check_random(
        || {
            let hub = Arc::new(TestHub::new());
            let (first, second) = (Log::default(), Log::default());
            let none = hub.set_callback(Some(Arc::clone(&first)), false).unwrap();
            assert_eq!(none, Drain::No);
            let exiting = Arc::clone(&hub);
            let exit = thread::spawn(move || {
                let needed = exiting.exited(3);
                drain(&exiting, needed).map(|drained| drained.join().unwrap())
            });
            let none = hub.set_callback(None, false).unwrap();
            assert_eq!(none, Drain::No);
            let needed = hub.set_callback(Some(Arc::clone(&second)), false).unwrap();
            if let Some(drained) = drain(&hub, needed) {
                drained.join().unwrap();
            }
            exit.join().unwrap();
            let heard = [seen(&first), seen(&second)].concat();
            assert_eq!(heard, [Seen::Exit(3)]);
        },
        SCHEDULES,
    );
}

#[test]
fn a_wait_for_the_exit_ends_with_the_handle_or_when_it_is_given_up() {
    check_random(
        || {
            let hub = Arc::new(TestHub::new());
            let waiting = Arc::clone(&hub);
            let mark = hub.mark();
            let waiter = thread::spawn(move || wait_exit(&waiting, mark));
            hub.give_up(HResult::HCS_E_SERVICE_NOT_AVAILABLE);
            assert_eq!(
                waiter.join().unwrap(),
                Err(HResult::HCS_E_SERVICE_NOT_AVAILABLE)
            );
            let waiting = Arc::clone(&hub);
            let mark = hub.mark();
            let waiter = thread::spawn(move || wait_exit(&waiting, mark));
            hub.close().unwrap();
            assert_eq!(waiter.join().unwrap(), Err(HResult::E_HANDLE));
        },
        SCHEDULES,
    );
}

/// A completion and its reporters, as handles and operations have them.
#[derive(Clone, Debug)]
struct Told(Arc<Telling>, Arc<AtomicU32>);

impl Told {
    fn tell(self, late: bool) {
        if !(late && self.0.is_taken()) && self.0.claim() {
            self.1.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[test]
fn a_completion_is_told_once_however_it_races_the_callback_of_its_operation() {
    check_random(
        || {
            let cell = Arc::new(TestCell::new());
            let call = cell.start(OperationKind::Create, false).unwrap();
            let told = Arc::new(AtomicU32::new(0));
            let (completing, in_told) = (Arc::clone(&cell), Arc::clone(&told));
            let completer = thread::spawn(move || {
                if matches!(completing.complete(call, Ok(7)), Completion::Callback) {
                    completing.run_callback(|()| {
                        in_told.fetch_add(1, Ordering::SeqCst);
                    });
                }
            });
            if cell.set_callback(Some(()), false).unwrap() {
                cell.run_callback(|()| {
                    told.fetch_add(1, Ordering::SeqCst);
                });
            }
            completer.join().unwrap();
            assert_eq!(told.load(Ordering::SeqCst), 1);
            assert!(!cell.set_callback(Some(()), false).unwrap(), "told again");
        },
        SCHEDULES,
    );
}

#[test]
fn a_completion_that_was_read_is_not_told_to_a_late_callback() {
    check_random(
        || {
            let cell = TestCell::new();
            let call = cell.start(OperationKind::Create, false).unwrap();
            let completion = cell.complete(call, Ok(7));
            assert!(matches!(completion, Completion::NoCallback(_)));
            assert_eq!(cell.outcome(), Ok(Ok(7)));
            assert!(!cell.set_callback(Some(()), false).unwrap());
        },
        SCHEDULES,
    );
}

#[test]
fn a_completion_that_a_callback_was_too_late_for_goes_to_the_next() {
    check_random(
        || {
            let (cell, call) = started();
            let told = Arc::new(AtomicU32::new(0));
            let (completing, in_told) = (Arc::clone(&cell), Arc::clone(&told));
            let completer = thread::spawn(move || {
                if matches!(completing.complete(call, Ok(7)), Completion::Callback) {
                    completing.run_callback(|()| {
                        in_told.fetch_add(1, Ordering::SeqCst);
                    });
                }
            });
            cell.set_callback(None, false).unwrap();
            if cell.set_callback(Some(()), false).unwrap() {
                cell.run_callback(|()| {
                    told.fetch_add(1, Ordering::SeqCst);
                });
            }
            completer.join().unwrap();
            assert_eq!(told.load(Ordering::SeqCst), 1);
        },
        SCHEDULES,
    );
}

/// Two handles may tell of a completion (that of the system, that of the process it makes), and the operation may get a
/// callback: all three at any time.
#[test]
fn a_completion_is_told_once_however_many_may_tell_of_it() {
    type Hub3 = Hub<u32, Told, ()>;
    check_random(
        || {
            let cell = Arc::new(TestCell::new());
            let call = cell.start(OperationKind::CreateProcess, false).unwrap();
            let told = Arc::new(AtomicU32::new(0));
            let hubs = [Arc::new(Hub3::new()), Arc::new(Hub3::new())];
            let drain = |hub: &Hub3, needed: Drain| {
                if needed == Drain::Needed {
                    let exit = |_| unreachable!("nothing exits");
                    hub.drain(exit, |(), told: Told, late| told.tell(late));
                }
            };
            let mut threads = Vec::new();
            let (completing, telling_hubs) = (Arc::clone(&cell), hubs.clone());
            let in_told = Arc::clone(&told);
            threads.push(thread::spawn(move || {
                match completing.complete(call, Ok(7)) {
                    Completion::Callback => completing.run_callback(|()| {
                        in_told.fetch_add(1, Ordering::SeqCst);
                    }),
                    Completion::NoCallback(telling) => {
                        let _taken = telling_hubs.iter().any(|hub| {
                            let make = |_| Told(Arc::clone(&telling), Arc::clone(&in_told));
                            let (taken, needed) = hub.completed(make, |told| told.0.is_taken());
                            drain(hub, needed);
                            taken
                        });
                    }
                    Completion::Unwanted => unreachable!("it is open"),
                }
            }));
            for hub in hubs {
                threads.push(thread::spawn(move || {
                    let needed = hub.set_callback(Some(()), true).unwrap();
                    drain(&hub, needed);
                }));
            }
            if cell.set_callback(Some(()), false).unwrap() {
                cell.run_callback(|()| {
                    told.fetch_add(1, Ordering::SeqCst);
                });
            }
            for thread in threads {
                thread.join().unwrap();
            }
            assert_eq!(told.load(Ordering::SeqCst), 1);
        },
        SCHEDULES,
    );
}
