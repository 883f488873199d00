//! The whole way: this library, a real service, real containers.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod service;

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::fd::OwnedFd,
    thread,
    time::Duration,
};

use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _, future};
use hcs::{ComputeSystem, ExitStatus, HResult, PipeReader, documents, raw::event_type};
use service::{Running, Service, container, kill, on_its_own, shell};

fn read(stream: Option<OwnedFd>) -> String {
    let mut text = String::new();
    File::from(stream.unwrap())
        .read_to_string(&mut text)
        .unwrap();
    text
}

#[test]
fn a_process_says_what_it_was_told_and_how_it_ended() {
    let service = Service::new();
    let system = service.system("whole-way");
    assert!(system.runtime_id().is_some());
    let script = "cat; echo oops >&2; exit 42";
    let mut process = system.create_process(&shell(script)).wait().unwrap();
    let mut stdin = File::from(process.take_stdin().unwrap());
    stdin.write_all(b"through and back").unwrap();
    drop(stdin);
    assert_eq!(read(process.take_stdout()), "through and back");
    assert_eq!(read(process.take_stderr()), "oops\n");
    let exited = ExitStatus {
        code: 42,
        out_of_memory: None,
        process_limit: None,
    };
    assert_eq!(process.wait().unwrap(), exited);
    assert_eq!(process.exit().wait().unwrap().code, 42);
}

#[test]
fn close_of_stdin_is_enough_for_the_raw_layer() {
    let service = Service::new();
    let system = service.system("close-stdin");
    let mut process = system.create_process(&shell("cat; exit 3")).wait().unwrap();
    let stdin = process.take_stdin().unwrap();
    let number = process.raw().lend_stdin(stdin);
    process.close_stdin().wait().unwrap();
    assert_eq!(read(process.take_stdout()), "");
    assert_eq!(process.wait().unwrap().code, 3);
    let writer = format!("/proc/self/fd/{number}");
    let write = File::options().write(true).open(writer);
    assert!(write.is_err() || write.unwrap().write(b"x").is_err());
}

#[test]
fn signals_end_a_process_and_the_handle_says_so() {
    let service = Service::new();
    let system = service.system("signals");
    let script = "trap 'exit 7' TERM; echo ready; while :; do read x; done";
    let mut process = system.create_process(&shell(script)).wait().unwrap();
    let mut ready = [0; 6];
    let mut stdout = File::from(process.take_stdout().unwrap());
    stdout.read_exact(&mut ready).unwrap();
    assert!(process.exit().wait_for(Duration::from_millis(1)).is_err());
    // The shell looks at its trap once the read it waits in is over.
    process.signal(documents::Signal::Linux(15)).wait().unwrap();
    drop(process.take_stdin());
    assert_eq!(process.wait().unwrap().code, 7);

    let process = system.create_process(&shell("read x")).wait().unwrap();
    process.terminate().wait().unwrap();
    assert_eq!(process.wait().unwrap().code, 128 + 9);
    let again = process.terminate().wait().unwrap_err();
    assert_eq!(again.hresult, HResult::HCS_E_PROCESS_ALREADY_STOPPED);
}

#[test]
fn failures_say_what_and_where() {
    let service = Service::new();
    let system = service.system("failures");
    let failure = system
        .create_process_json(r#"{"CommandArgs":["/bin/true"],"CreateStdInPipes":true}"#)
        .wait()
        .unwrap_err();
    assert_eq!(failure.hresult, HResult::HCS_E_INVALID_JSON);
    assert_eq!(
        failure.causes[0].pointer.as_deref(),
        Some("/CreateStdInPipes")
    );
    let missing = system.create_process_json(r#"{"CommandArgs":["/no/such"]}"#);
    let failure = missing.wait().unwrap_err();
    assert_eq!(failure.hresult, HResult::FILE_NOT_FOUND);
    assert!(failure.to_document().contains("/no/such"));

    let operation = hcs::raw::Operation::new();
    let document = serde_json::to_string(&container()).unwrap();
    let endpoint = service.endpoint();
    let _twin = endpoint
        .create_system("failures", &document, &operation)
        .unwrap();
    let error = operation.wait(None).unwrap_err();
    assert_eq!(error.hresult, HResult::HCS_E_SYSTEM_ALREADY_EXISTS);

    let failure = endpoint.open_system("no-such-system").unwrap_err();
    assert_eq!(failure.hresult, HResult::HCS_E_SYSTEM_NOT_FOUND);
    let failure = system.open_process(99_999).wait().unwrap_err();
    assert_eq!(failure.hresult, HResult::NOT_FOUND);
}

#[test]
fn a_second_handle_sees_the_same_system_and_process() {
    let service = Service::new();
    let first = service.system("two-handles");
    let second = ComputeSystem::from(service.endpoint().open_system("two-handles").unwrap());
    assert_eq!(first.runtime_id(), second.runtime_id());
    let process = first.create_process(&shell("read x")).wait().unwrap();
    let other = second.open_process(process.id()).wait().unwrap();
    process.terminate().wait().unwrap();
    assert_eq!(other.wait().unwrap().code, 128 + 9);
    let query = documents::SystemPropertyQuery::default();
    let properties = second.properties(&query).wait().unwrap();
    assert_eq!(properties.id.as_deref(), Some("two-handles"));
    let mut events = second.events().unwrap();
    first.terminate().wait().unwrap();
    let event = events.next_for(None).unwrap();
    assert_eq!(event.event_type, event_type::SYSTEM_EXITED);
    assert!(events.next_for(None).is_none());
    assert!(second.exit().wait().unwrap().exit_type.is_some());
}

#[test]
fn everything_can_be_awaited_at_once() {
    let service = Service::new();
    let system = service.system("awaited");
    let one = async |number: u32| {
        let script = format!("cat; exit {number}");
        let mut process = system.create_process(&shell(&script)).await.unwrap();
        let mut stdin = process.stdin_writer().unwrap().unwrap();
        let mut stdout = process.stdout_reader().unwrap().unwrap();
        let sent = vec![b'x'; 200_000];
        let sending = async {
            stdin.write_all(&sent).await.unwrap();
            stdin.close().await.unwrap();
        };
        let receiving = async {
            let mut received = Vec::new();
            stdout.read_to_end(&mut received).await.unwrap();
            received.len()
        };
        let ((), received) = future::zip(sending, receiving).await;
        assert_eq!(received, sent.len());
        let mut events = process.events().unwrap();
        let status = process.exit().await.unwrap();
        let event = events.next().await.unwrap();
        assert_eq!(event.event_type, event_type::PROCESS_EXITED);
        assert!(events.next().await.is_none());
        status.code
    };
    let all = future::zip(future::zip(one(1), one(2)), future::zip(one(3), one(4)));
    assert_eq!(future::block_on(all), ((1, 2), (3, 4)));
}

#[test]
fn a_cancelled_call_is_undone() {
    let service = Service::new();
    let system = service.system("cancelled");
    let script = "trap '' TERM; echo ready; while :; do sleep 1; done";
    let mut process = system.create_process(&shell(script)).wait().unwrap();
    let mut ready = [0; 6];
    let mut stdout = File::from(process.take_stdout().unwrap());
    stdout.read_exact(&mut ready).unwrap();
    let shutting_down = system.shut_down();
    shutting_down.cancel();
    let failure = shutting_down.wait().unwrap_err();
    assert_eq!(failure.hresult, HResult::CANCELLED);
    assert!(process.exit().wait_for(Duration::ZERO).is_err());
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Runs `rounds` processes one after the other; every byte and every code has to come through.
fn hammer(system: &ComputeSystem, thread: u32, rounds: u32) {
    for round in 0..rounds {
        let code = (thread * rounds + round) % 200;
        let script = format!("cat; exit {code}");
        let mut process = system.create_process(&shell(&script)).wait().unwrap();
        let sent = format!("{thread}/{round}");
        let mut stdin = File::from(process.take_stdin().unwrap());
        stdin.write_all(sent.as_bytes()).unwrap();
        drop(stdin);
        assert_eq!(read(process.take_stdout()), sent);
        assert_eq!(process.wait().unwrap().code, code);
    }
}

/// In a process of its own, because it counts descriptors.
#[test]
fn many_threads_lose_nothing() {
    let Some(endpoint) = on_its_own("many_threads_lose_nothing") else {
        return;
    };
    let system = Running::at(&endpoint, "many");
    hammer(&system, 0, 1);
    let before = open_descriptors();
    thread::scope(|scope| {
        for thread in 0..4 {
            let system: &ComputeSystem = &system;
            scope.spawn(move || hammer(system, thread, 12));
        }
    });
    assert_eq!(open_descriptors(), before);
}

#[test]
fn what_happened_while_the_service_was_away_is_delivered() {
    let Some(endpoint) = on_its_own("what_happened_while_the_service_was_away_is_delivered") else {
        return;
    };
    let system = Running::at(&endpoint, "away");
    let script = "read x; echo got $x; exit 9";
    let mut process = system.create_process(&shell(script)).wait().unwrap();
    let mut stdout = PipeReader::new(process.take_stdout().unwrap()).unwrap();
    let mut stdin = File::from(process.take_stdin().unwrap());
    kill(&endpoint);
    // The pipes are the process's own, with or without a service.
    stdin.write_all(b"it\n").unwrap();
    let mut text = String::new();
    future::block_on(stdout.read_to_string(&mut text)).unwrap();
    assert_eq!(text, "got it\n");
    assert_eq!(process.wait().unwrap().code, 9);

    // A listener is registered, so the library starts a service again by itself.
    let process = system.create_process(&shell("read x")).wait().unwrap();
    let mut events = process.events().unwrap();
    kill(&endpoint);
    let event = events.next_for(None).unwrap();
    assert_eq!(event.event_type, event_type::SERVICE_DISCONNECT);
    process.terminate().wait().unwrap();
    let event = events.next_for(None).unwrap();
    assert_eq!(event.event_type, event_type::PROCESS_EXITED);
    assert_eq!(process.wait().unwrap().code, 128 + 9);
}
