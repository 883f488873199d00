//! The behaviour of handles when the service goes away and comes back.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod peer;

use std::{
    collections::HashSet,
    sync::{Arc, mpsc},
    time::Duration,
};

use hcs::{
    HResult,
    raw::{Operation, Process, event_type},
};
use hcs_wire::service::{Call, Reply, Subject};
use peer::{Peer, Place, failed, made_process, made_system};

const EXIT: &str = r#"{"ProcessId":7,"Exited":true,"ExitCode":3,"LastWaitResult":0}"#;

/// Answers the calls that open a process again; its handle.
fn reopened_process(peer: &mut Peer, reply: &Reply) -> u64 {
    let open = peer.request();
    let Call::OpenSystem {
        system: passing,
        runtime_id: Some(_),
        ..
    } = open.call
    else {
        panic!("{open:?}");
    };
    peer.reply(open.id, &made_system());
    let open = peer.request();
    let Call::OpenProcess {
        system,
        process,
        process_id: 7,
        again: true,
    } = open.call
    else {
        panic!("{open:?}");
    };
    assert_eq!(system, passing);
    peer.reply(open.id, reply);
    let close = peer.request();
    assert_eq!(close.call, Call::CloseSystem { system: passing });
    peer.reply(close.id, &Reply::done());
    process
}

#[test]
fn waits_for_an_exit_survive_the_service() {
    let place = Place::new();
    let listener = place.listen();
    let (listening, is_listening) = mpsc::channel::<()>();
    let peer = std::thread::spawn(move || {
        let mut peer = Peer::accept(&listener);
        peer.create_system();
        let process = peer.create_process(&[]);
        is_listening.recv().unwrap();
        drop(peer);
        let mut peer = Peer::accept(&listener);
        // The system's handle and the process's are opened in any order.
        let mut opened = 0;
        let mut passing = None;
        while opened < 2 {
            let request = peer.request();
            match request.call {
                Call::OpenSystem {
                    system, runtime_id, ..
                } => {
                    assert!(runtime_id.is_some());
                    peer.reply(request.id, &made_system());
                    passing = Some(system);
                    opened += u32::from(system < process);
                }
                Call::OpenProcess {
                    system,
                    process: again,
                    process_id,
                    again: true,
                } => {
                    assert_eq!((Some(system), again, process_id), (passing, process, 7));
                    peer.reply(request.id, &made_process(0));
                    opened += 1;
                }
                Call::CloseSystem { .. } => peer.reply(request.id, &Reply::done()),
                call => panic!("{call:?}"),
            }
        }
        peer.event(
            Subject::Process(process),
            event_type::PROCESS_EXITED,
            Some(EXIT),
        );
        peer
    });
    let (operation, system) = place.system();
    let process = Process::create(&system, "{}", &operation).unwrap();
    let (sender, events) = mpsc::channel();
    let callback = move |event: &hcs::raw::Event| sender.send(event.event_type).unwrap();
    process.set_callback(0, Some(Arc::new(callback))).unwrap();
    listening.send(()).unwrap();
    assert_eq!(&*process.wait_exit(None).unwrap(), EXIT);
    assert_eq!(events.recv().unwrap(), event_type::SERVICE_DISCONNECT);
    assert_eq!(events.recv().unwrap(), event_type::PROCESS_EXITED);
    drop(peer.join().unwrap());
    process.close().unwrap();
    assert!(events.recv().is_err());
}

#[test]
fn the_same_handles_work_again_with_the_next_call() {
    let place = Place::new();
    let listener = place.listen();
    let (lost, was_lost) = mpsc::channel::<()>();
    let peer = std::thread::spawn(move || {
        let mut peer = Peer::accept(&listener);
        peer.create_system();
        let _pending = peer.request();
        drop(peer);
        was_lost.recv().unwrap();
        let mut peer = Peer::accept(&listener);
        let open = peer.request();
        let Call::OpenSystem { system, .. } = open.call else {
            panic!("{open:?}");
        };
        peer.reply(open.id, &made_system());
        let start = peer.request();
        assert_eq!(
            start.call,
            Call::StartSystem {
                system,
                options: None
            }
        );
        peer.reply(start.id, &Reply::done());
    });
    let (operation, system) = place.system();
    system.start(&operation, None).unwrap();
    let error = operation.wait(None).unwrap_err();
    assert_eq!(error.hresult, HResult::HCS_E_SERVICE_DISCONNECT);
    lost.send(()).unwrap();
    loop {
        // The reading thread may still be telling others that the connection is over.
        system.start(&operation, None).unwrap();
        match operation.wait(None) {
            Ok(_) => break,
            Err(error) => assert_eq!(error.hresult, HResult::HCS_E_SERVICE_DISCONNECT),
        }
    }
    peer.join().unwrap();
}

#[test]
fn what_is_gone_when_the_service_is_back_has_exited() {
    let place = Place::new();
    let listener = place.listen();
    let peer = std::thread::spawn(move || {
        let mut peer = Peer::accept(&listener);
        peer.create_system();
        peer.create_process(&[]);
        let close = peer.request();
        assert!(matches!(close.call, Call::CloseSystem { .. }));
        drop(peer);
        let mut peer = Peer::accept(&listener);
        let gone = failed(HResult::NOT_FOUND, "no such process");
        reopened_process(&mut peer, &gone);
        let signal = peer.request();
        peer.reply(signal.id, &failed(HResult::E_HANDLE, "no such handle"));
    });
    let (operation, system) = place.system();
    let process = Process::create(&system, "{}", &operation).unwrap();
    operation.wait(None).unwrap();
    let (sender, events) = mpsc::channel();
    let callback = move |event: &hcs::raw::Event| sender.send(event.clone()).unwrap();
    process.set_callback(0, Some(Arc::new(callback))).unwrap();
    system.close().unwrap();
    assert_eq!(
        events.recv().unwrap().event_type,
        event_type::SERVICE_DISCONNECT
    );
    let exit = events.recv().unwrap();
    assert_eq!(exit.event_type, event_type::PROCESS_EXITED);
    let status: serde_json::Value = serde_json::from_str(exit.data.as_deref().unwrap()).unwrap();
    assert_eq!(status["ProcessId"], 7);
    assert_eq!(status["LastWaitResult"], HResult::NOT_FOUND.0);
    process.signal(&operation, None).unwrap();
    assert_eq!(
        operation.wait(None).unwrap_err().hresult,
        HResult::HCS_E_PROCESS_ALREADY_STOPPED
    );
    peer.join().unwrap();
}

/// How often the connection is lost again at once, each time at another moment.
const CUTS: usize = 40;

#[test]
fn a_wait_for_an_exit_survives_connections_that_are_lost_at_once() {
    let place = Place::new();
    let listener = place.listen();
    let peer = std::thread::spawn(move || {
        let mut peer = Peer::accept(&listener);
        peer.create_system();
        let process = peer.create_process(&[]);
        drop(peer);
        for cut in 0..CUTS {
            let mut peer = Peer::accept(&listener);
            for _ in 0..cut % 5 {
                if peer.next_request().is_none() {
                    break;
                }
            }
        }
        let mut peer = Peer::accept(&listener);
        while let Some(request) = peer.next_request() {
            match request.call {
                Call::OpenProcess { process: again, .. } => {
                    assert_eq!(again, process);
                    peer.reply(request.id, &made_process(0));
                    let exited = event_type::PROCESS_EXITED;
                    peer.event(Subject::Process(process), exited, Some(EXIT));
                }
                Call::OpenSystem { .. } => peer.reply(request.id, &made_system()),
                _ => peer.reply(request.id, &Reply::done()),
            }
        }
    });
    let (operation, system) = place.system();
    let process = Process::create(&system, "{}", &operation).unwrap();
    operation.wait(None).unwrap();
    let limit = Duration::from_secs(300);
    assert_eq!(&*process.wait_exit(Some(limit)).unwrap(), EXIT);
    process.close().unwrap();
    system.close().unwrap();
    drop(place);
    drop(peer);
}

/// Greets as a service that takes repeats.
fn greet(peer: &mut Peer) {
    let hello = peer.request();
    let document = Some(r#"{"Repeats":true}"#.to_owned());
    let reply = Reply {
        document,
        ..Reply::done()
    };
    peer.reply(hello.id, &reply);
}

/// Answers all calls until the client has gone; a call on a handle comes behind the one that makes it.
fn serve(mut peer: Peer) {
    let mut known = HashSet::new();
    while let Some(frame) = peer.frame() {
        match frame.parse("request").unwrap() {
            Call::CreateSystem { system, .. } | Call::OpenSystem { system, .. } => {
                known.insert(system);
                peer.reply(frame.id, &made_system());
            }
            Call::GetSystemProperties { system, .. } => {
                assert!(known.contains(&system), "the handle is not known here");
                peer.reply(frame.id, &Reply::done());
            }
            _ => peer.reply(frame.id, &Reply::done()),
        }
    }
}

/// Handles that are opened again on each connection: so many that the loss of one is known before that is done.
const MANY: usize = 500;

#[test]
fn a_call_on_a_handle_that_is_still_being_made_comes_behind_what_makes_it() {
    let place = Place::new();
    let listener = place.listen();
    let (connects, connecting) = mpsc::channel::<()>();
    let (called, has_called) = mpsc::channel::<()>();
    let peer = std::thread::spawn(move || {
        let mut first = Peer::accept_only(&listener);
        greet(&mut first);
        for _ in 0..MANY {
            first.create_system();
        }
        // The call that makes the handle is not answered.
        first.request();
        drop(first);
        // The next connection is lost as soon as it is there, with the call on the handle in its queue.
        let mut second = Peer::accept_only(&listener);
        connects.send(()).unwrap();
        has_called.recv().unwrap();
        greet(&mut second);
        drop(second);
        let mut third = Peer::accept_only(&listener);
        greet(&mut third);
        serve(third);
    });
    let others: Vec<_> = (0..MANY).map(|_| place.system()).collect();
    let (creation, system) = place.begin();
    connecting.recv().unwrap();
    let second = Operation::new();
    system.properties(&second, None).unwrap();
    called.send(()).unwrap();
    creation.wait(None).unwrap();
    second.wait(None).unwrap();
    for (_, other) in others {
        other.close().unwrap();
    }
    system.close().unwrap();
    drop(place);
    drop(peer);
}

#[test]
fn a_connection_that_was_begun_is_that_of_the_first_call() {
    let place = Place::new();
    // No service is there, and none is started.
    place.endpoint().begin();
    let listener = place.listen();
    place.endpoint().begin();
    place.endpoint().begin();
    let peer = std::thread::spawn(move || {
        Peer::accept(&listener).create_system();
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err(), "it is the only one");
    });
    let _system = place.system();
    peer.join().unwrap();
}

#[test]
fn a_connection_that_was_begun_and_lost_is_made_again() {
    let place = Place::new();
    let listener = place.listen();
    place.endpoint().begin();
    drop(Peer::accept_only(&listener));
    let peer = std::thread::spawn(move || {
        Peer::accept(&listener).create_system();
    });
    let _system = place.system();
    peer.join().unwrap();
}
