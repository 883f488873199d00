//! The cost of decisions: the life of an operation, and the admission of calls to a system.
#![expect(clippy::expect_used, reason = "a benchmark that cannot go on fails")]

use divan::{AllocProfiler, Bencher, black_box};
use hcs_lifecycle::{
    operation::Operation,
    operation_kind::OperationKind,
    system::{Action, Decision, Queue, State},
};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// Started, sent, completed, read.
#[divan::bench]
fn operation_call(bencher: Bencher<'_, '_>) {
    let mut operation = Operation::<u64, u64>::default();
    bencher.bench_local(|| {
        let started = operation.start(OperationKind::GetProcessInfo, false);
        let call = started.expect("nothing is pending").call;
        operation.sent(call);
        operation.complete(call, Ok(7)).expect("it is pending");
        operation
            .process_information(true)
            .map(|(outcome, _)| *outcome)
    });
}

/// A process is let in without a ticket.
#[divan::bench]
fn admit_process_at_once(bencher: Bencher<'_, '_>) {
    let queue = Queue::new(State::Running);
    bencher.bench(|| black_box(&queue).process_may_begin());
}

/// A process takes its turn in the queue.
#[divan::bench]
fn admit_process_in_turn(bencher: Bencher<'_, '_>) {
    let mut queue = Queue::new(State::Running);
    bencher.bench_local(|| {
        let ticket = queue.submit(Action::CreateProcess);
        let step = queue.next();
        assert_eq!(step, Some(Decision::Begin(ticket, Action::CreateProcess)));
        queue.finish(ticket, true);
    });
}

/// A terminate that overtakes 64 waiting calls, all of which are then refused.
#[divan::bench]
fn terminate_overtakes(bencher: Bencher<'_, '_>) {
    let crowded = || {
        let mut queue = Queue::new(State::Created);
        for _ in 0..64 {
            queue.submit(Action::Start);
        }
        queue
    };
    bencher.with_inputs(crowded).bench_values(|mut queue| {
        queue.submit(Action::Terminate);
        let mut steps = 0;
        while queue.next().is_some() {
            steps += 1;
        }
        assert_eq!(steps, 65);
    });
}
