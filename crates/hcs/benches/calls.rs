//! The cost of the library itself: operations, and calls that a stub of the service answers at once.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on fails"
)]

#[path = "../tests/peer/mod.rs"]
mod peer;

use divan::{AllocProfiler, Bencher, black_box};
use hcs::raw::{Operation, Process, System};
use peer::{Place, made_process};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

#[divan::bench]
fn create_and_close_operation() {
    Operation::new().close().expect("it is open");
}

/// A process of a stub that answers every further request as it answers `HcsGetProcessInfo`.
struct Stub {
    process: Process,
    operation: Operation,
    _system: System,
    _place: Place,
}

impl Stub {
    fn start() -> Self {
        let place = Place::new();
        // Ends with the connection.
        let _thread = place.play(|peer| {
            peer.create_system();
            peer.create_process(&[]);
            while let Some(request) = peer.next_request() {
                peer.reply(request.id, &made_process(0));
            }
        });
        let operation = Operation::new();
        let endpoint = place.endpoint();
        let system = endpoint.create_system("bench", "{}", &operation).unwrap();
        operation.wait(None).unwrap();
        let process = Process::create(&system, "{}", &operation).unwrap();
        operation.wait_and_process_info(None, true).unwrap();
        Self {
            process,
            operation,
            _system: system,
            _place: place,
        }
    }

    fn round_trip(&self) {
        self.process.info(&self.operation).unwrap();
        self.operation.wait_and_process_info(None, true).unwrap();
    }
}

/// Started, sent, answered, completed, read: two threads of this process, and the stub's.
#[divan::bench]
fn round_trip(bencher: Bencher<'_, '_>) {
    let stub = Stub::start();
    bencher.bench_local(|| stub.round_trip());
}

/// `HcsGetOperationResultAndProcessInfo` once it is there.
#[divan::bench]
fn completed_result(bencher: Bencher<'_, '_>) {
    let stub = Stub::start();
    stub.round_trip();
    bencher.bench_local(|| {
        black_box(&stub.operation)
            .result_and_process_info(true)
            .unwrap()
    });
}
