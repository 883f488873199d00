//! How the client treats the messages of a service: proper answers, nonsense, cut messages, silence and the end.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod peer;

use std::{
    io::Write as _,
    os::fd::OwnedFd,
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use hcs::{
    HResult,
    raw::{Operation, OperationKind, Process, System, event_options, event_type},
};
use hcs_wire::service::{Call, Kind, Reply, Subject, encode};
use peer::{Peer, Place, failed, made_process, made_system};
use rustix::pipe::{PipeFlags, pipe_with};

fn hresult<T: std::fmt::Debug>(result: Result<T, hcs::raw::Error>) -> HResult {
    result.unwrap_err().hresult
}

fn pipes(count: usize) -> (Vec<OwnedFd>, Vec<OwnedFd>) {
    (0..count)
        .map(|_| pipe_with(PipeFlags::CLOEXEC).unwrap())
        .unzip()
}

#[test]
fn one_operation_tracks_one_call_after_the_other() {
    let place = Place::new();
    let peer = place.play(|peer| {
        peer.create_system();
        let start = peer.request();
        assert!(matches!(
            &start.call,
            Call::StartSystem { options: None, .. }
        ));
        peer.reply(start.id, &failed(HResult::HCS_E_INVALID_STATE, "no"));
        let properties = peer.request();
        assert!(matches!(&properties.call, Call::GetSystemProperties { .. }));
        let document = Some(r#"{"Id":"a"}"#.to_owned());
        peer.reply(
            properties.id,
            &Reply {
                document,
                ..Reply::done()
            },
        );
    });
    let (operation, system) = place.begin();
    assert_eq!(operation.wait(None).unwrap(), None);
    assert_eq!(operation.kind(), OperationKind::Create);
    assert_eq!(operation.system().unwrap().number(), system.number());
    assert!(system.runtime_id().unwrap().starts_with("c0ffee"));
    assert!(
        operation
            .correlation_id()
            .unwrap()
            .starts_with(&std::process::id().to_string())
    );

    system.start(&operation, Some("")).unwrap();
    let error = operation.wait(None).unwrap_err();
    assert_eq!(error.hresult, HResult::HCS_E_INVALID_STATE);
    assert!(error.document.unwrap().contains("\"no\""));

    system.properties(&operation, None).unwrap();
    assert_eq!(
        operation.wait(None).unwrap().as_deref(),
        Some(r#"{"Id":"a"}"#)
    );
    assert_eq!(operation.kind(), OperationKind::GetProperties);
    let information = operation.result_and_process_info(true);
    assert_eq!(hresult(information), HResult::E_INVALIDARG);
    peer.join().unwrap();
}

#[test]
fn a_pending_operation_refuses_and_times_out_and_goes_on() {
    let place = Place::new();
    let (go, gone) = mpsc::channel::<()>();
    let peer = place.play(move |peer| {
        let request = peer.request();
        gone.recv().unwrap();
        peer.reply(request.id, &made_system());
    });
    let operation = Operation::new();
    let endpoint = place.endpoint();
    let _system = endpoint.create_system("a", "{}", &operation).unwrap();
    let again = endpoint.create_system("b", "{}", &operation);
    assert_eq!(again.unwrap_err(), HResult::HCS_E_OPERATION_ALREADY_STARTED);
    assert_eq!(
        hresult(operation.result()),
        HResult::HCS_E_OPERATION_PENDING
    );
    let limit = Some(Duration::from_millis(1));
    assert_eq!(
        hresult(operation.wait(limit)),
        HResult::HCS_E_OPERATION_TIMEOUT
    );
    assert_eq!(
        hresult(operation.wait_and_process_info(limit, true)),
        HResult::E_INVALIDARG
    );
    go.send(()).unwrap();
    operation.wait(None).unwrap();
    operation.close().unwrap();
    assert_eq!(hresult(operation.result()), HResult::E_HANDLE);
    assert_eq!(operation.close().unwrap_err(), HResult::E_HANDLE);
    peer.join().unwrap();
}

/// A process in its own system, and the thread that plays the service.
struct OneProcess {
    /// The far ends of its streams.
    readers: Vec<OwnedFd>,
    operation: Operation,
    process: Process,
    peer: JoinHandle<()>,
    _system: System,
    _place: Place,
}

/// A process that is created with so many streams; the peer then goes on.
fn one_process(streams: usize, go_on: impl FnOnce(&mut Peer) + Send + 'static) -> OneProcess {
    let place = Place::new();
    let (readers, writers) = pipes(streams);
    let peer = place.play(move |peer| {
        peer.create_system();
        peer.create_process(&writers);
        drop(writers);
        go_on(peer);
    });
    let (operation, system) = place.system();
    let process = Process::create(&system, "{}", &operation).unwrap();
    OneProcess {
        readers,
        operation,
        process,
        peer,
        _system: system,
        _place: place,
    }
}

#[test]
fn streams_are_given_once() {
    let it = one_process(3, |_| {});
    let (_, first) = it.operation.wait_and_process_info(None, false).unwrap();
    assert!((first.process_id, first.stdio.stdin.is_none()) == (7, true));
    let (_, second) = it.operation.result_and_process_info(true).unwrap();
    assert!(
        second.stdio.stdin.is_some()
            && second.stdio.stdout.is_some()
            && second.stdio.stderr.is_some()
    );
    let (_, third) = it.operation.result_and_process_info(true).unwrap();
    assert!(third.process_id == 7 && third.stdio.stdin.is_none() && third.stdio.stderr.is_none());
    assert_eq!(it.process.process_id(), Some(7));
    it.peer.join().unwrap();
    drop(second);
    for reader in &it.readers {
        assert_eq!(rustix::io::read(reader, &mut [0; 1]), Ok(0));
    }
}

#[test]
fn streams_not_taken_are_closed_with_operation_or_process() {
    for by_process in [false, true] {
        let it = one_process(1, |_| {});
        it.operation.wait(None).unwrap();
        it.peer.join().unwrap();
        if by_process {
            it.process.close().unwrap();
            let (_, information) = it.operation.result_and_process_info(true).unwrap();
            assert!(information.process_id == 7 && information.stdio.stdin.is_none());
        } else {
            it.operation.close().unwrap();
        }
        assert_eq!(rustix::io::read(&it.readers[0], &mut [0; 1]), Ok(0));
    }
}

#[test]
fn process_information_without_descriptors_is_a_failure_not_a_crash() {
    let place = Place::new();
    let peer = place.play(|peer| {
        peer.create_system();
        for reply in [made_process(3), Reply::done()] {
            let request = peer.request();
            peer.reply(request.id, &reply);
        }
    });
    let (operation, system) = place.system();
    let mut processes = Vec::new();
    for _ in 0..2 {
        processes.push(Process::create(&system, "{}", &operation).unwrap());
        let error = operation.wait_and_process_info(None, true).unwrap_err();
        assert_eq!(error.hresult, HResult::HCS_E_PROCESS_INFO_NOT_AVAILABLE);
        assert!(error.document.is_some());
    }
    peer.join().unwrap();
}

/// Plays `script` in place of an answer to a creation. Returns the results of the creation and of a wait for the exit.
fn broken_by(script: impl FnOnce(&mut Peer, u64) + Send + 'static) -> (HResult, String) {
    let place = Place::new();
    let peer = place.play(move |peer| {
        let request = peer.request();
        script(peer, request.id);
    });
    let (operation, system) = place.begin();
    let error = operation.wait(None).unwrap_err();
    peer.join().unwrap();
    assert_eq!(system.wait_exit(None).unwrap_err(), error.hresult);
    (error.hresult, error.document.unwrap().to_string())
}

#[test]
fn a_service_that_goes_away_ends_pending_operations() {
    let (hresult, document) = broken_by(|_, _| {});
    assert_eq!(hresult, HResult::HCS_E_SERVICE_DISCONNECT);
    assert!(document.contains("closed the connection"), "{document}");
}

#[test]
fn nonsense_ends_the_connection_with_its_reason() {
    let (hresult, document) = broken_by(|peer, _| peer.stream.write_all(&[0xff; 64]).unwrap());
    assert_eq!(hresult, HResult::HCS_E_SERVICE_DISCONNECT);
    assert!(document.contains("broke the protocol"), "{document}");

    let (hresult, document) = broken_by(|peer, id| peer.reply(id + 1000, &Reply::done()));
    assert_eq!(hresult, HResult::HCS_E_SERVICE_DISCONNECT);
    assert!(document.contains("never made"), "{document}");

    let (hresult, document) = broken_by(|peer, id| {
        let bytes = encode(Kind::Request, id, 0, &Reply::done()).unwrap();
        peer.stream.write_all(&bytes).unwrap();
    });
    assert_eq!(hresult, HResult::HCS_E_SERVICE_DISCONNECT);
    assert!(document.contains("sent a request"), "{document}");
}

#[test]
fn a_cut_message_is_no_message() {
    let (hresult, _) = broken_by(|peer, id| {
        let bytes = encode(Kind::Reply, id, 0, &made_system()).unwrap();
        peer.stream.write_all(&bytes[..bytes.len() - 1]).unwrap();
    });
    assert_eq!(hresult, HResult::HCS_E_SERVICE_DISCONNECT);
}

#[test]
fn a_reply_of_another_shape_fails_only_its_operation() {
    let place = Place::new();
    let peer = place.play(|peer| {
        let first = peer.request();
        let bytes = encode(Kind::Reply, first.id, 0, &["what?"]).unwrap();
        peer.stream.write_all(&bytes).unwrap();
        peer.create_system();
    });
    let operation = Operation::new();
    let endpoint = place.endpoint();
    let _failed = endpoint.create_system("a", "{}", &operation).unwrap();
    assert_eq!(hresult(operation.wait(None)), HResult::HCS_E_PROTOCOL_ERROR);
    let _made = endpoint.create_system("b", "{}", &operation).unwrap();
    operation.wait(None).unwrap();
    peer.join().unwrap();
}

#[test]
fn a_refused_greeting_is_the_result() {
    let place = Place::new();
    let listener = place.listen();
    let peer = std::thread::spawn(move || {
        for result in [
            HResult::HCS_E_ACCESS_DENIED,
            HResult::HCS_E_UNSUPPORTED_PROTOCOL_VERSION,
        ] {
            let mut peer = Peer::accept_only(&listener);
            let hello = peer.request();
            peer.reply(hello.id, &failed(result, "ask the administrator"));
        }
    });
    for expected in [
        HResult::HCS_E_ACCESS_DENIED,
        HResult::HCS_E_UNSUPPORTED_PROTOCOL_VERSION,
    ] {
        let (operation, _system) = place.begin();
        let error = operation.wait(None).unwrap_err();
        assert_eq!(error.hresult, expected);
        assert!(error.document.unwrap().contains("ask the administrator"));
    }
    peer.join().unwrap();
}

#[test]
fn a_document_too_large_is_the_result_and_not_sent() {
    let place = Place::new();
    let peer = place.play(|peer| {
        peer.create_system();
    });
    let operation = Operation::new();
    let endpoint = place.endpoint();
    let document = " ".repeat(10 << 20);
    let _refused = endpoint.create_system("a", &document, &operation).unwrap();
    assert_eq!(hresult(operation.wait(None)), HResult::HCS_E_INVALID_JSON);
    let _made = endpoint.create_system("b", "{}", &operation).unwrap();
    operation.wait(None).unwrap();
    peer.join().unwrap();
}

#[test]
fn a_cancelled_call_ends_as_the_service_says() {
    let place = Place::new();
    let peer = place.play(|peer| {
        let create = peer.request();
        let cancel = peer.request();
        assert_eq!(cancel.call, Call::Cancel { request: create.id });
        peer.reply(cancel.id, &Reply::done());
        peer.reply(create.id, &failed(HResult::CANCELLED, "cancelled"));
    });
    let operation = Operation::new();
    assert_eq!(
        operation.cancel().unwrap_err(),
        HResult::HCS_E_OPERATION_NOT_STARTED
    );
    let _system = place
        .endpoint()
        .create_system("a", "{}", &operation)
        .unwrap();
    operation.cancel().unwrap();
    operation.cancel().unwrap();
    assert_eq!(hresult(operation.wait(None)), HResult::CANCELLED);
    operation.cancel().unwrap();
    peer.join().unwrap();
}

#[test]
fn callbacks_come_once_and_may_do_everything() {
    let place = Place::new();
    let (hang_up, end) = mpsc::channel::<()>();
    let peer = place.play(move |peer| {
        peer.create_system();
        let start = peer.request();
        peer.reply(start.id, &Reply::done());
        end.recv().unwrap();
    });
    let operation = Operation::new();
    let (sender, called) = mpsc::channel();
    let callback = move |operation: &Operation| {
        let (kind, result) = (operation.kind(), operation.result().is_ok());
        if kind == OperationKind::Create {
            operation.system().unwrap().start(operation, None).unwrap();
        } else {
            operation.close().unwrap();
        }
        sender.send((kind, result)).unwrap();
    };
    operation.set_callback(Some(Arc::new(callback))).unwrap();
    let _system = place
        .endpoint()
        .create_system("a", "{}", &operation)
        .unwrap();
    let calls: Vec<_> = called.iter().take(2).collect();
    assert!(calls.contains(&(OperationKind::Create, true)));
    assert!(calls.contains(&(OperationKind::Start, true)));
    hang_up.send(()).unwrap();
    peer.join().unwrap();
    assert!(called.try_recv().is_err());
}

#[test]
fn an_event_callback_may_take_the_completions() {
    let place = Place::new();
    let (hang_up, end) = mpsc::channel::<()>();
    let peer = place.play(move |peer| {
        peer.create_system();
        let start = peer.request();
        peer.reply(start.id, &Reply::done());
        end.recv().unwrap_err();
    });
    let (operation, system) = place.system();
    let (sender, events) = mpsc::channel();
    let callback = move |event: &hcs::raw::Event| sender.send(event.clone()).unwrap();
    let options = event_options::ENABLE_OPERATION_CALLBACKS;
    system
        .set_callback(options, Some(Arc::new(callback)))
        .unwrap();

    let with_callback = Operation::new();
    with_callback.set_callback(Some(Arc::new(|_| {}))).unwrap();
    assert_eq!(
        system.start(&with_callback, None).unwrap_err(),
        HResult::HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET
    );
    assert_eq!(with_callback.kind(), OperationKind::None);

    system.start(&operation, None).unwrap();
    let event = events.recv().unwrap();
    assert_eq!(event.event_type, event_type::OPERATION_CALLBACK);
    let completed = event.operation.unwrap();
    assert!(completed.id() == operation.id() && completed.result().is_ok());
    // A handle that is listened to would have the library look for another service.
    system.close().unwrap();
    drop(hang_up);
    peer.join().unwrap();
}

const EXIT: &str = r#"{"ProcessId":7,"Exited":true,"ExitCode":3,"LastWaitResult":0}"#;

#[test]
fn an_exit_is_delivered_once_also_late_and_read_for_ever() {
    let place = Place::new();
    let (hang_up, end) = mpsc::channel::<()>();
    let peer = place.play(move |peer| {
        peer.create_system();
        let process = peer.create_process(&[]);
        peer.event(
            Subject::Process(process),
            event_type::PROCESS_EXITED,
            Some(EXIT),
        );
        end.recv().unwrap();
    });
    let (operation, system) = place.system();
    let process = Process::create(&system, "{}", &operation).unwrap();
    for _ in 0..2 {
        assert_eq!(&*process.wait_exit(None).unwrap(), EXIT);
    }
    let (sender, events) = mpsc::channel();
    let again = sender.clone();
    let callback = move |event: &hcs::raw::Event| sender.send(event.clone()).unwrap();
    process.set_callback(0, Some(Arc::new(callback))).unwrap();
    let event = events.recv().unwrap();
    assert_eq!(event.event_type, event_type::PROCESS_EXITED);
    assert_eq!(event.data.as_deref(), Some(EXIT));
    let callback = move |event: &hcs::raw::Event| again.send(event.clone()).unwrap();
    process.set_callback(0, Some(Arc::new(callback))).unwrap();
    process.close().unwrap();
    assert!(events.recv().is_err(), "the exit came twice");
    assert_eq!(process.wait_exit(None).unwrap_err(), HResult::E_HANDLE);
    hang_up.send(()).unwrap();
    peer.join().unwrap();
}

#[test]
fn a_wait_for_an_exit_ends_in_time_or_with_the_handle() {
    let place = Place::new();
    let peer = place.play(|peer| {
        peer.create_system();
        assert!(matches!(peer.request().call, Call::CloseSystem { .. }));
    });
    let (operation, system) = place.system();
    let timeout = system.wait_exit(Some(Duration::from_millis(1)));
    assert_eq!(
        timeout.unwrap_err(),
        HResult::from_win32(hcs_schema::win32::ERROR_TIMEOUT)
    );
    let waiting = system.clone();
    let waiter = std::thread::spawn(move || waiting.wait_exit(None));
    system.close().unwrap();
    assert_eq!(waiter.join().unwrap().unwrap_err(), HResult::E_HANDLE);
    assert_eq!(system.close().unwrap_err(), HResult::E_HANDLE);
    assert_eq!(
        system.start(&operation, None).unwrap_err(),
        HResult::E_HANDLE
    );
    peer.join().unwrap();
}

#[test]
fn calls_on_what_was_never_made_say_so() {
    let place = Place::new();
    let peer = place.play(|peer| {
        let create = peer.request();
        peer.reply(
            create.id,
            &failed(HResult::HCS_E_INVALID_JSON, "bad document"),
        );
    });
    let operation = Operation::new();
    let system = place
        .endpoint()
        .create_system("a", "{", &operation)
        .unwrap();
    assert_eq!(hresult(operation.wait(None)), HResult::HCS_E_INVALID_JSON);
    system.start(&operation, None).unwrap();
    let error = operation.wait(None).unwrap_err();
    assert_eq!(error.hresult, HResult::HCS_E_SYSTEM_NOT_FOUND);
    assert!(error.document.unwrap().contains("bad document"));
    assert_eq!(
        system.wait_exit(None).unwrap_err(),
        HResult::HCS_E_INVALID_JSON
    );
    peer.join().unwrap();
}

#[test]
fn close_of_stdin_ends_what_was_lent() {
    let it = one_process(1, |peer| {
        let modify = peer.request();
        assert!(matches!(modify.call, Call::ModifyProcess { .. }));
        peer.reply(modify.id, &Reply::done());
    });
    let (_, information) = it.operation.wait_and_process_info(None, true).unwrap();
    let number = it.process.lend_stdin(information.stdio.stdin.unwrap());
    assert!(number >= 3);
    let settings = r#"{"Operation":"CloseHandle","CloseHandle":{"Handle":"StdIn"}}"#;
    it.process.modify(&it.operation, settings).unwrap();
    it.operation.wait(None).unwrap();
    assert_eq!(rustix::io::read(&it.readers[0], &mut [0; 1]), Ok(0));
    let open = std::fs::read_link(format!("/proc/self/fd/{number}")).unwrap();
    assert!(
        open.to_string_lossy().starts_with("pipe:"),
        "the holder can still close it"
    );
    it.peer.join().unwrap();
}

#[test]
fn a_call_with_a_deadline_ends_even_when_the_service_is_silent() {
    let place = Place::new();
    let (told, limit) = mpsc::channel();
    let peer = place.play(move |peer| {
        let create = peer.request();
        let limit = peer.request();
        told.send((create.id, limit.call)).unwrap();
        // Silent, also when the client asks once more, until it has given up and closes the system it made.
        assert!(matches!(
            peer.request().call,
            Call::Limit {
                milliseconds: 0,
                ..
            }
        ));
        assert!(matches!(peer.request().call, Call::CloseSystem { .. }));
    });
    let operation = Operation::new();
    operation
        .set_deadline(Some(Duration::from_millis(30)))
        .unwrap();
    let system = place
        .endpoint()
        .create_system("a", "{}", &operation)
        .unwrap();
    let error = operation.wait(None).unwrap_err();
    assert_eq!(error.hresult, HResult::HCS_E_OPERATION_TIMEOUT);
    assert!(error.document.unwrap().contains("did not answer"));
    let (request, limit) = limit.recv().unwrap();
    let Call::Limit {
        request: limited,
        milliseconds,
    } = limit
    else {
        panic!("{limit:?}");
    };
    assert_eq!(limited, request);
    assert!(milliseconds <= 30);
    system.close().unwrap();
    peer.join().unwrap();
    operation.close().unwrap();
    assert_eq!(operation.set_deadline(None), Err(HResult::E_HANDLE));
}
