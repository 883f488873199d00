//! A user of the group who connects without end: others are let in beside that user.
//!
//! What is in the other's way is counted, not timed: how many connections of the first user are greeted before it.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    thread,
};

use crate::{
    common::{Service, await_that},
    flood::{GROUP, OTHERS},
};
use hcs_wire::service::{Call, HEADER_BYTES, Kind, VERSION, encode};
use rustix::{
    net::{RecvFlags, recv},
    process::{Gid, Pid, Signal, Uid, kill_process},
    thread::{set_thread_gid, set_thread_groups, set_thread_uid},
};

/// A user of the group.
const USER: u32 = 64_231;
/// Connections of that user, fewer than the queue of the socket has room for.
const MANY: usize = 100;
/// How often it is looked at, at most.
const ROUNDS: usize = 5;

/// Connects `count` times as that user; what is sent is a greeting.
fn connect_and_greet(service: &Service, user: u32, count: usize) -> Vec<UnixStream> {
    let hello = Call::Hello {
        minimum: VERSION,
        maximum: VERSION,
        instance: None,
    };
    let hello = encode(Kind::Request, 1, 0, &hello).unwrap();
    let connect = || {
        let mut connection = UnixStream::connect(service.endpoint()).unwrap();
        connection.write_all(&hello).unwrap();
        connection
    };
    thread::scope(|scope| {
        let connecting = scope.spawn(|| {
            if user != 0 {
                set_thread_groups(&[]).unwrap();
                set_thread_gid(Gid::from_raw(GROUP)).unwrap();
                set_thread_uid(Uid::from_raw(user)).unwrap();
            }
            (0..count).map(|_| connect()).collect()
        });
        connecting.join().unwrap()
    })
}

fn is_answered(connection: &UnixStream) -> bool {
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    matches!(recv(connection, &mut [0_u8; 1], flags), Ok((_, 1)))
}

#[test]
fn a_user_who_connects_without_end_has_no_other_one_wait_for_the_whole_queue() {
    let service = Service::with_config(OTHERS);
    let open = fs::Permissions::from_mode(0o711);
    fs::set_permissions(service.endpoint().parent().unwrap(), open).unwrap();
    // The service goes on greeting while this process is not woken: where it was late, it looks again. One queue for
    // all would have the other one greeted last each time.
    let rounds = (0..ROUNDS).map(|_| greeted_before(&service));
    let before: Vec<usize> = rounds
        .scan(false, |is_enough, before| {
            let goes_on = !*is_enough;
            *is_enough = before < MANY * 3 / 4;
            goes_on.then_some(before)
        })
        .collect();
    assert!(before.iter().any(|one| *one < MANY * 3 / 4), "{before:?}");
}

/// Connects many times as one user, and then once as another one; returns how many of the first were greeted before.
fn greeted_before(service: &Service) -> usize {
    let pid = Pid::from_raw(i32::try_from(service.pid()).unwrap()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    await_that("the service is stopped", || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", service.pid())).unwrap();
        stat.rsplit(')').next().unwrap().starts_with(" T")
    });
    let first = connect_and_greet(service, USER, MANY);
    let mut other = connect_and_greet(service, 0, 1).remove(0);
    kill_process(pid, Signal::CONT).unwrap();
    other.read_exact(&mut [0; HEADER_BYTES]).unwrap();
    let before = first.iter().filter(|one| is_answered(one)).count();
    // None of them is lost.
    for mut connection in first {
        connection.read_exact(&mut [0; HEADER_BYTES]).unwrap();
    }
    before
}
