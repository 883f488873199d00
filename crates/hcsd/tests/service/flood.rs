//! A client that asks for more than it may have, and reads nothing, is refused or left; others are served meanwhile.

use crate::common::{
    Service,
    client::{create_system, shell},
};
use hcs_schema::{HResult, win32};
use hcs_wire::{
    service::{Call, Kind, encode},
    socket,
};

const LIMITS: &str = "[limits]\npending_per_connection = 50\nunread_bytes_per_connection = 100000\n\
                      systems_per_client = 3\nprocesses_per_client = 4\n";

fn no_more() -> HResult {
    HResult::from_win32(win32::ERROR_NO_SYSTEM_RESOURCES)
}

#[test]
fn a_flood_of_calls_leaves_others_served() {
    let service = Service::with_config(LIMITS);
    let mut other = service.client();
    other.start_container(1, "other");
    let flooding = service.client();
    let stream = flooding.stream.try_clone().unwrap();
    // Whole calls without end, their answers unread, until the service has had enough.
    let flood = std::thread::spawn(move || {
        let call = Call::EnumerateSystems { query: None };
        for request in 1_000_u64.. {
            let bytes = encode(Kind::Request, request, 0, &call).unwrap();
            if socket::send_all(&stream, &bytes, &[]).is_err() {
                return request;
            }
        }
        0
    });
    for process in 2..10 {
        let mut created = other.create_process(1, process, &shell("cat; exit 5"));
        created.write("served");
        drop(created.stdin.take());
        assert_eq!(created.output(), "served");
        assert_eq!(other.exit_code(process), 5);
    }
    assert!(flood.join().unwrap() > 1_000, "it was disconnected");
    drop(flooding);
    other.terminate(1);
}

#[test]
fn systems_and_processes_of_one_user_are_counted_over_all_connections() {
    let service = Service::with_config(LIMITS);
    let mut client = service.client();
    let mut second = service.client();
    client.start_container(1, "a");
    let document = crate::common::client::CONTAINER;
    client.call(&create_system(2, "b", document)).ok();
    second.call(&create_system(3, "c", document)).ok();
    let message = second
        .call(&create_system(4, "d", document))
        .failed(no_more());
    assert!(
        message.contains("systems_per_client") || message.contains("limit of 3"),
        "{message}"
    );
    // They live as long as their input is held.
    let living: Vec<_> = (10..14)
        .map(|process| client.create_process(1, process, &shell("read x")))
        .collect();
    let fifth = Call::CreateProcess {
        system: 1,
        process: 14,
        parameters: shell("true").to_string(),
    };
    client.call(&fifth).failed(no_more());
    assert_eq!(living.len(), 4);
    client.terminate(1);
    client.terminate(2);
    second.terminate(3);
}
