//! The queue against a small model, in random interleavings, and its rules one by one.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn drain(queue: &mut Queue) -> Vec<Decision> {
    std::iter::from_fn(|| queue.next()).collect()
}

fn running() -> Queue {
    Queue::new(State::Running)
}

/// Whether a process submitted now is the next thing to do.
fn a_process_begins_now(queue: &Queue) -> bool {
    let mut queue = queue.clone();
    let process = queue.submit(Action::CreateProcess);
    queue.next() == Some(Decision::Begin(process, Action::CreateProcess))
}

#[test]
fn a_process_goes_ahead_only_of_nothing() {
    assert!(running().process_may_begin());
    assert!(
        !Queue::new(State::Created).process_may_begin(),
        "a state that has no processes"
    );

    let mut waiting = running();
    waiting.submit(Action::Modify);
    assert!(!waiting.process_may_begin(), "a call waits");

    let mut busy = running();
    let modify = busy.submit(Action::Modify);
    drain(&mut busy);
    assert!(!busy.process_may_begin(), "a call runs");
    busy.finish(modify, true);
    assert!(busy.process_may_begin());

    let mut ending = running();
    ending.submit(Action::Terminate);
    drain(&mut ending);
    assert!(!ending.process_may_begin(), "a terminate runs");
}

#[test]
fn a_call_behind_a_second_terminate_is_refused_at_once() {
    let mut queue = running();
    queue.submit(Action::Terminate);
    queue.submit(Action::Terminate);
    let modify = queue.submit(Action::Modify);
    drain(&mut queue);
    assert_eq!(
        queue.cancel(modify),
        Cancelled::Unknown,
        "its ticket is spent"
    );
}

#[test]
fn a_start_and_the_process_sent_right_behind_it_run_in_order() {
    let mut queue = Queue::new(State::Created);
    let start = queue.submit(Action::Start);
    let process = queue.submit(Action::CreateProcess);
    assert_eq!(drain(&mut queue), [Decision::Begin(start, Action::Start)]);
    queue.finish(start, true);
    assert_eq!(
        drain(&mut queue),
        [Decision::Begin(process, Action::CreateProcess)]
    );
    assert!(queue.process_may_begin());
}

#[test]
fn a_process_behind_a_failed_start_is_refused() {
    let mut queue = Queue::new(State::Created);
    let start = queue.submit(Action::Start);
    let process = queue.submit(Action::CreateProcess);
    drain(&mut queue);
    queue.finish(start, false);
    assert_eq!(
        drain(&mut queue),
        [Decision::Refuse(process, Refusal::State(State::Created))]
    );
}

#[test]
fn terminate_overtakes_a_stuck_start_and_what_waits_behind_it() {
    let mut queue = Queue::new(State::Created);
    let start = queue.submit(Action::Start);
    let pause = queue.submit(Action::Pause);
    drain(&mut queue);
    let terminate = queue.submit(Action::Terminate);
    assert_eq!(
        drain(&mut queue),
        [
            Decision::Begin(terminate, Action::Terminate),
            Decision::Refuse(pause, Refusal::Terminating)
        ]
    );
    assert_eq!(queue.exited(), ExitType::Forced);
    assert_eq!(
        drain(&mut queue),
        [
            Decision::Settle(start, Err(Refusal::EndedDuringStart)),
            Decision::Settle(terminate, Ok(()))
        ]
    );
    queue.finish(start, true);
    assert_eq!(
        queue.state(),
        State::Stopped,
        "a late report changes nothing"
    );
}

#[test]
fn a_second_terminate_waits_for_the_first_and_finds_the_system_stopped() {
    let mut queue = running();
    let first = queue.submit(Action::Terminate);
    let second = queue.submit(Action::Terminate);
    assert_eq!(
        drain(&mut queue),
        [Decision::Begin(first, Action::Terminate)]
    );
    queue.exited();
    assert_eq!(
        drain(&mut queue),
        [
            Decision::Settle(first, Ok(())),
            Decision::Refuse(second, Refusal::Stopped)
        ]
    );
}

#[test]
fn a_second_terminate_is_tried_when_the_first_failed() {
    let mut queue = running();
    let first = queue.submit(Action::Terminate);
    let second = queue.submit(Action::Terminate);
    drain(&mut queue);
    queue.finish(first, false);
    assert_eq!(
        drain(&mut queue),
        [Decision::Begin(second, Action::Terminate)]
    );
    queue.finish(second, false);
    assert_eq!(
        queue.exited(),
        ExitType::Unexpected,
        "both orders had failed"
    );
}

#[test]
fn a_process_is_refused_during_a_shutdown_and_let_in_again_after_it_failed() {
    let mut queue = running();
    let shutdown = queue.submit(Action::ShutDown);
    let during = queue.submit(Action::CreateProcess);
    assert_eq!(
        drain(&mut queue),
        [
            Decision::Begin(shutdown, Action::ShutDown),
            Decision::Refuse(during, Refusal::ShuttingDown)
        ]
    );
    queue.finish(shutdown, false);
    assert!(queue.process_may_begin());
    assert_eq!(
        queue.exited(),
        ExitType::Graceful,
        "its processes went later, because they were asked"
    );
}

#[test]
fn a_cancelled_ticket_is_spent_or_is_to_be_undone() {
    let mut queue = running();
    let pause = queue.submit(Action::Pause);
    let resume = queue.submit(Action::Resume);
    drain(&mut queue);
    assert_eq!(queue.cancel(resume), Cancelled::Waiting);
    assert_eq!(queue.cancel(resume), Cancelled::Unknown);
    assert_eq!(queue.cancel(pause), Cancelled::Running(Action::Pause));
    queue.finish(pause, false);
    assert_eq!(queue.state(), State::Running);
    assert_eq!(drain(&mut queue), []);
}

#[test]
fn a_process_waits_for_a_shutdown_to_be_undone() {
    let mut queue = running();
    let shutdown = queue.submit(Action::ShutDown);
    drain(&mut queue);
    assert_eq!(queue.cancel(shutdown), Cancelled::Running(Action::ShutDown));
    let process = queue.submit(Action::CreateProcess);
    assert_eq!(drain(&mut queue), []);
    queue.finish(shutdown, false);
    assert_eq!(
        drain(&mut queue),
        [Decision::Begin(process, Action::CreateProcess)]
    );
}

#[derive(Clone, Copy, Debug)]
enum Input {
    Submit(Action),
    /// Finish the n-th action that is running.
    Finish(usize, bool),
    /// Cancel the n-th ticket ever given.
    Cancel(usize),
    Exit,
}

fn inputs() -> impl Strategy<Value = Vec<Input>> {
    let action = prop_oneof![
        Just(Action::Start),
        Just(Action::Pause),
        Just(Action::Resume),
        any::<bool>().prop_map(|template| Action::Save { template }),
        Just(Action::ShutDown),
        Just(Action::Terminate),
        Just(Action::Modify),
        Just(Action::CreateProcess),
    ];
    let input = prop_oneof![
        6 => action.prop_map(Input::Submit),
        4 => (0_usize..2, any::<bool>()).prop_map(|(n, done)| Input::Finish(n, done)),
        2 => (0_usize..40).prop_map(Input::Cancel),
        1 => Just(Input::Exit),
    ];
    prop::collection::vec(input, 0..60)
}

/// The knowledge of the model: every ticket is open until it has exactly one answer.
#[derive(Default)]
struct Model {
    open: BTreeMap<Ticket, Action>,
    begun: Vec<(Ticket, Action)>,
    given: Vec<Ticket>,
    answers: BTreeMap<Ticket, usize>,
    stopped: bool,
}

impl Model {
    fn answered(&mut self, ticket: Ticket) {
        *self.answers.entry(ticket).or_default() += 1;
        self.open.remove(&ticket);
        self.begun.retain(|(t, _)| *t != ticket);
    }

    fn step(&mut self, queue: &Queue, step: Decision) -> Result<(), TestCaseError> {
        match step {
            Decision::Begin(ticket, action) => {
                prop_assert!(!self.stopped, "{action:?} began in a stopped system");
                prop_assert!(
                    judge(queue.state(), action).is_ok(),
                    "{action:?} in {:?}",
                    queue.state()
                );
                prop_assert_eq!(self.open.get(&ticket), Some(&action));
                if action == Action::CreateProcess {
                    prop_assert!(
                        self.begun.is_empty(),
                        "a process began beside {:?}",
                        self.begun
                    );
                    self.answered(ticket);
                    return Ok(());
                }
                let same_lane = self
                    .begun
                    .iter()
                    .filter(|(_, a)| (*a == Action::Terminate) == (action == Action::Terminate));
                prop_assert_eq!(same_lane.count(), 0, "two actions at once");
                self.begun.push((ticket, action));
            }
            Decision::Refuse(ticket, refusal) => {
                prop_assert!(self.open.contains_key(&ticket));
                prop_assert!(!self.begun.iter().any(|(t, _)| *t == ticket));
                prop_assert!(!refusal.hresult().is_success());
                self.answered(ticket);
            }
            Decision::Settle(ticket, result) => {
                prop_assert!(self.stopped);
                let action = self.open.get(&ticket).copied();
                let wanted = matches!(action, Some(Action::ShutDown | Action::Terminate));
                prop_assert_eq!(result.is_ok(), wanted, "{:?}", action);
                self.answered(ticket);
            }
        }
        Ok(())
    }

    fn apply(&mut self, queue: &mut Queue, input: Input) -> Result<(), TestCaseError> {
        match input {
            Input::Submit(action) => {
                let ticket = queue.submit(action);
                self.given.push(ticket);
                self.open.insert(ticket, action);
            }
            Input::Finish(n, done) => {
                if let Some((ticket, action)) = self.begun.get(n).copied() {
                    let before = queue.state();
                    queue.finish(ticket, done);
                    if !done {
                        prop_assert_eq!(
                            queue.state(),
                            before,
                            "a failed {:?} changed the state",
                            action
                        );
                    }
                    self.answered(ticket);
                }
            }
            Input::Cancel(n) => self.cancel(queue, n)?,
            Input::Exit => {
                if !self.stopped {
                    self.stopped = true;
                    queue.exited();
                }
            }
        }
        Ok(())
    }

    fn cancel(&mut self, queue: &mut Queue, n: usize) -> Result<(), TestCaseError> {
        let Some(ticket) = self.given.get(n).copied() else {
            return Ok(());
        };
        match queue.cancel(ticket) {
            Cancelled::Waiting => {
                prop_assert!(self.open.contains_key(&ticket));
                self.answered(ticket);
            }
            Cancelled::Running(action) => {
                prop_assert!(self.begun.contains(&(ticket, action)));
                queue.finish(ticket, false);
                self.answered(ticket);
            }
            Cancelled::Unknown => prop_assert!(!self.open.contains_key(&ticket)),
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn every_call_gets_exactly_one_answer_in_any_interleaving(inputs in inputs()) {
        let mut queue = Queue::new(State::Created);
        let mut model = Model::default();
        for input in inputs {
            model.apply(&mut queue, input)?;
            prop_assert_eq!(queue.process_may_begin(), a_process_begins_now(&queue));
            while let Some(step) = queue.next() {
                model.step(&queue, step)?;
            }
            prop_assert_eq!(queue.process_may_begin(), a_process_begins_now(&queue));
            prop_assert_eq!(queue.state() == State::Stopped, model.stopped);
            if model.begun.is_empty() {
                prop_assert!(model.open.is_empty(), "left waiting with nothing running: {:?}", model.open);
            }
        }
        for (ticket, _) in model.begun.clone() {
            queue.finish(ticket, true);
            model.answered(ticket);
        }
        while let Some(step) = queue.next() {
            model.step(&queue, step)?;
            for (ticket, _) in model.begun.clone() {
                queue.finish(ticket, false);
                model.answered(ticket);
            }
        }
        prop_assert!(model.open.is_empty(), "never answered: {:?}", model.open);
        prop_assert!(model.answers.values().all(|n| *n == 1), "{:?}", model.answers);
    }
}

#[test]
fn a_shutdown_that_an_earlier_service_asked_for_counts() {
    let mut queue = Queue::new(State::Running);
    assert!(!queue.is_asked_to_stop());
    queue.submit(Action::ShutDown);
    queue.next();
    assert!(queue.is_asked_to_stop());
    let mut adopted = Queue::new(queue.state()).with_stop_asked(queue.is_asked_to_stop());
    assert_eq!(adopted.exited(), ExitType::Graceful);
}
