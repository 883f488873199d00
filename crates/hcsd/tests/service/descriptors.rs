//! Descriptors that a client sends and whose close waits: the service does not wait with it, whoever the client is.

use std::{
    fs,
    io::{ErrorKind, Write as _},
    net::{TcpListener, TcpStream},
    os::{
        fd::AsFd as _,
        unix::{fs::PermissionsExt as _, net::UnixStream},
    },
    path::Path,
    thread,
    time::{Duration, Instant},
};

use crate::common::{Client, Service, await_that};
use hcs_wire::{
    service::{Call, Kind, VERSION, encode},
    socket,
};
use rustix::{net::sockopt::set_socket_linger, process::Uid, thread::set_thread_uid};

/// How long the close of what is sent waits.
const LINGER: Duration = Duration::from_secs(60);
/// What a service that waits for it takes longer than.
const AT_ONCE: Duration = Duration::from_secs(30);
/// More than there may be of those who may not use the service.
const MANY: usize = 65;

/// A socket whose close waits until the other one is dropped.
fn lingering() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (peer, _) = listener.accept().unwrap();
    stream.set_nonblocking(true).unwrap();
    let full = loop {
        if let Err(e) = stream.write(&[b'x'; 65_536]) {
            break e;
        }
    };
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
    set_socket_linger(&stream, Some(LINGER)).unwrap();
    (stream, peer)
}

/// Sends `bytes` with such a socket on a new connection, as that user; answers the connection and the socket's peer.
fn send(endpoint: &Path, user: u32, bytes: &[u8]) -> (UnixStream, TcpStream) {
    let (stream, peer) = lingering();
    let connection = thread::scope(|scope| {
        let sending = scope.spawn(|| {
            // Of this thread alone, which ends with it.
            set_thread_uid(Uid::from_raw(user)).unwrap();
            let connection = UnixStream::connect(endpoint).unwrap();
            socket::send_all(&connection, bytes, &[stream.as_fd()]).unwrap();
            connection
        });
        sending.join().unwrap()
    });
    (connection, peer)
}

fn hello() -> Vec<u8> {
    let hello = Call::Hello {
        minimum: VERSION,
        maximum: VERSION,
        instance: None,
    };
    encode(Kind::Request, 1, 1, &hello).unwrap()
}

fn is_served(service: &Service) {
    let begun = Instant::now();
    service
        .client()
        .call(&Call::GetServiceProperties { query: None })
        .ok();
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
}

/// A service whose socket every user reaches.
fn open_service() -> Service {
    let service = Service::new();
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(service.endpoint().parent().unwrap(), open).unwrap();
    service
}

#[test]
fn descriptors_whose_close_waits_keep_nobody_waiting() {
    let service = open_service();
    let endpoint = service.endpoint();
    let mut held = Vec::new();
    for user in [0, 65_534] {
        // With a greeting, with what is none, and with a part of a message.
        for bytes in [hello(), vec![0xff; 32], vec![0x20]] {
            let before = service.descriptors();
            let (connection, peer) = send(&endpoint, user, &bytes);
            is_served(&service);
            drop(connection);
            is_served(&service);
            await_that("what came is still there", || {
                service.descriptors() > before
            });
            held.push(peer);
        }
    }
    drop(held);
}

#[test]
fn strangers_beyond_the_limit_keep_nobody_waiting_either() {
    let service = open_service();
    let endpoint = service.endpoint();
    let before = service.descriptors();
    let held: Vec<_> = (0..MANY + 3)
        .map(|_| send(&endpoint, 65_534, &[0x20]))
        .collect();
    is_served(&service);
    drop(held);
    // Each gives its place back once it is closed.
    await_that("all are closed", || service.descriptors() <= before);
    let mut stranger = thread::spawn(move || {
        set_thread_uid(Uid::from_raw(65_534)).unwrap();
        Client::connect_silently(&endpoint)
    })
    .join()
    .unwrap();
    let answer = stranger.call(&Call::Hello {
        minimum: VERSION,
        maximum: VERSION,
        instance: None,
    });
    answer.failed(hcs_schema::HResult::HCS_E_ACCESS_DENIED);
}
