//! What goes along with a call that is made again on the next connection: its cancellation, and what is left of its
//! deadline.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod peer;

use std::{os::unix::net::UnixListener, sync::mpsc, thread, time::Duration};

use hcs::{HResult, raw::Operation};
use hcs_wire::service::{Call, Kind, Reply};
use peer::{Peer, Place, failed, made_system};

/// A peer that takes repeats.
fn accept(listener: &UnixListener) -> Peer {
    let mut peer = Peer::accept_only(listener);
    let hello = peer.request();
    let document = Some(r#"{"Repeats":true}"#.to_owned());
    let reply = Reply {
        document,
        ..Reply::done()
    };
    peer.reply(hello.id, &reply);
    peer
}

/// The start of a system as it comes for the first time; its number.
fn started(peer: &mut Peer) -> u64 {
    let start = peer.request();
    assert!(matches!(start.call, Call::StartSystem { .. }), "{start:?}");
    start.id
}

/// The start of a system as it comes again on this connection, behind what opens its handle.
fn started_again(peer: &mut Peer) -> u64 {
    let open = peer.request();
    assert!(matches!(open.call, Call::OpenSystem { .. }), "{open:?}");
    peer.reply(open.id, &made_system());
    loop {
        let frame = peer.frame().unwrap();
        match frame.parse("request").unwrap() {
            Call::StartSystem { .. } => {
                assert_eq!(frame.kind, Kind::Repeat);
                return frame.id;
            }
            Call::OpenSystem { .. } => peer.reply(frame.id, &made_system()),
            call => {
                assert!(matches!(call, Call::CloseSystem { .. }), "{call:?}");
                peer.reply(frame.id, &Reply::done());
            }
        }
    }
}

/// The cancellation that comes next, of the call with this number. Handles that were lent may be given back before.
fn assert_cancelled(peer: &mut Peer, request: u64) {
    loop {
        let next = peer.request();
        match next.call {
            Call::CloseSystem { .. } => peer.reply(next.id, &Reply::done()),
            call => return assert_eq!(call, Call::Cancel { request }),
        }
    }
}

/// The limit that comes next, in milliseconds, of the call with this number.
fn limit_of(peer: &mut Peer, call: u64) -> u64 {
    loop {
        let next = peer.request();
        peer.reply(next.id, &Reply::done());
        match next.call {
            Call::Limit {
                request,
                milliseconds,
            } => {
                assert_eq!(request, call);
                return milliseconds;
            }
            other => assert!(matches!(other, Call::CloseSystem { .. }), "{other:?}"),
        }
    }
}

fn assert_ends_as_cancelled(operation: &Operation) {
    let error = operation.wait(None).unwrap_err();
    assert_eq!(error.hresult, HResult::CANCELLED);
}

#[test]
fn a_call_that_is_cancelled_while_the_service_is_away_is_made_again_and_cancelled() {
    let place = Place::new();
    let listener = place.listen();
    let (away, is_away) = mpsc::channel::<()>();
    let (cancelled, was_cancelled) = mpsc::channel::<()>();
    let peer = thread::spawn(move || {
        let mut first = accept(&listener);
        first.create_system();
        let request = started(&mut first);
        drop(first);
        away.send(()).unwrap();
        was_cancelled.recv().unwrap();
        let mut second = accept(&listener);
        assert_eq!(started_again(&mut second), request);
        assert_cancelled(&mut second, request);
        second.reply(request, &failed(HResult::CANCELLED, "cancelled"));
        while second.next_request().is_some() {}
    });
    let (operation, system) = place.system();
    system.start(&operation, None).unwrap();
    is_away.recv().unwrap();
    operation.cancel().unwrap();
    cancelled.send(()).unwrap();
    assert_ends_as_cancelled(&operation);
    system.close().unwrap();
    drop(peer);
}

#[test]
fn a_cancellation_that_the_service_took_along_when_it_died_is_told_again() {
    let place = Place::new();
    let listener = place.listen();
    let (sent, was_sent) = mpsc::channel::<()>();
    let peer = thread::spawn(move || {
        let mut first = accept(&listener);
        first.create_system();
        let request = started(&mut first);
        sent.send(()).unwrap();
        assert_cancelled(&mut first, request);
        drop(first);
        let mut second = accept(&listener);
        assert_eq!(started_again(&mut second), request);
        assert_cancelled(&mut second, request);
        second.reply(request, &failed(HResult::CANCELLED, "cancelled"));
        while second.next_request().is_some() {}
    });
    let (operation, system) = place.system();
    system.start(&operation, None).unwrap();
    was_sent.recv().unwrap();
    operation.cancel().unwrap();
    assert_ends_as_cancelled(&operation);
    system.close().unwrap();
    drop(peer);
}

/// The limit is far away, so that no slow machine reaches it.
const LIMIT: Duration = Duration::from_secs(600);
/// How much of it passes before the connection is lost.
const PASSED: Duration = Duration::from_secs(1);

#[test]
fn the_next_service_is_told_what_is_left_of_a_deadline() {
    let place = Place::new();
    let listener = place.listen();
    let peer = thread::spawn(move || {
        let mut first = accept(&listener);
        first.create_system();
        let request = started(&mut first);
        let before = Duration::from_millis(limit_of(&mut first, request));
        assert!(before <= LIMIT, "{before:?}");
        thread::sleep(PASSED);
        drop(first);
        let mut second = accept(&listener);
        assert_eq!(started_again(&mut second), request);
        let left = Duration::from_millis(limit_of(&mut second, request));
        assert!(left <= LIMIT.saturating_sub(PASSED), "{left:?}");
        assert!(!left.is_zero() && before > left, "{left:?} of {before:?}");
        second.reply(request, &Reply::done());
        while second.next_request().is_some() {}
    });
    let (operation, system) = place.system();
    operation.set_deadline(Some(LIMIT)).unwrap();
    system.start(&operation, None).unwrap();
    operation.wait(None).unwrap();
    system.close().unwrap();
    drop(peer);
}
