//! Clients that leave before they are answered, by `kill -9` say: nothing of what they made is held once it has ended.
//! Of a client that stays and keeps its handle, less is held then.

use std::{collections::BTreeMap, fs, thread, time::Duration};

use hcs_schema::HResult;
use hcs_wire::service::{Call, Kind};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::common::{
    Client, Service, await_that,
    client::{create_process, create_system, open_system, shell, start_system},
};

/// No containers that are kept ready: they hold as much as others. The log says when a client is gone.
const CONFIG: &str = "log = \"debug\"\nwarm_slots = 0\n";

/// A container with a range of ids.
const OWN_IDS: &str = r#"{
    "SchemaVersion": { "Major": 2, "Minor": 1 }, "Owner": "test", "Container": { "UserNamespace": true }
}"#;

/// The same, which ends with its client.
const PASSING: &str = r#"{
    "SchemaVersion": { "Major": 2, "Minor": 1 }, "Owner": "test",
    "ShouldTerminateOnLastHandleClosed": true, "Container": { "UserNamespace": true }
}"#;

/// Clients that leave, each a millisecond later than the one before.
const MOMENTS: u32 = 60;

/// The descriptors of the service that a system has, by kind.
fn held(service: &Service) -> BTreeMap<&'static str, usize> {
    let mut held = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{}/fd", service.pid())).unwrap() {
        // One may be closed meanwhile.
        let Ok(target) = fs::read_link(entry.unwrap().path()) else {
            continue;
        };
        let target = target.to_str().unwrap();
        let kinds = [
            ("/hcs.d/systems/", "directories"),
            ("/hcs-ids/", "ranges of ids"),
            ("[pidfd]", "processes"),
            ("socket:", "sockets"),
        ];
        if let Some((_, kind)) = kinds.iter().find(|(part, _)| target.contains(part)) {
            *held.entry(*kind).or_default() += 1;
        }
    }
    held
}

/// A service that has had a system, a client of it, and what it holds while it has none.
fn service() -> (Service, Client, BTreeMap<&'static str, usize>) {
    let service = Service::with_config(CONFIG);
    let mut client = service.client();
    client.start_container(1, "before");
    client.terminate(1);
    client.call(&Call::CloseSystem { system: 1 }).ok();
    let is_let_go = |kind| !held(&service).contains_key(kind);
    await_that("the first system is let go", || {
        is_let_go("directories") && is_let_go("ranges of ids")
    });
    let before = held(&service);
    (service, client, before)
}

fn instance(number: u32) -> String {
    format!("c0ffee00-0000-4000-8000-{number:012}")
}

fn client(service: &Service, number: u32) -> Client {
    Client::connect_as(&service.endpoint(), Some(&instance(number)))
}

/// The pid 1 of the only system there is.
fn agent(service: &Service) -> Pid {
    let mut systems = fs::read_dir(service.root().join("systems")).unwrap();
    let state = systems.next().unwrap().unwrap().path().join("state.json");
    let record: Value = serde_json::from_str(&fs::read_to_string(state).unwrap()).unwrap();
    let machine: Value = serde_json::from_str(record["machine"].as_str().unwrap()).unwrap();
    Pid::from_raw(i32::try_from(machine["Pid"].as_i64().unwrap()).unwrap()).unwrap()
}

/// The call of [`leave_unanswered`], among those of all clients.
const UNANSWERED: u64 = 78;

/// Makes `call` while the agent of the only system is stopped, and leaves when it has come as far as `step`: it is
/// answered when the client is gone.
fn leave_unanswered(
    mut leaving: Client,
    call: &Call,
    step: &str,
    (service, other): (&Service, &mut Client),
) {
    let agent = agent(service);
    kill_process(agent, Signal::STOP).unwrap();
    leaving.send_as(Kind::Request, UNANSWERED, call, &[]);
    let explain = Call::ExplainOperation {
        operation: UNANSWERED.to_string(),
    };
    await_that("the call is under way", || {
        let told = other.call(&explain);
        told.reply.result == HResult::S_OK && told.json().to_string().contains(step)
    });
    drop(leaving);
    await_that("the service knows that the client is gone", || {
        service.has_said("a client is gone")
    });
    kill_process(agent, Signal::CONT).unwrap();
}

/// Ends the system `id`, of which the service holds nothing any more afterwards.
fn end(mut other: Client, id: &str, service: &Service, before: &BTreeMap<&'static str, usize>) {
    other.call(&open_system(2, id, None)).ok();
    other.terminate(2);
    other.call(&Call::CloseSystem { system: 2 }).ok();
    await_that("the system is let go", || held(service) == *before);
}

#[test]
fn a_system_is_let_go_at_its_end_though_the_client_of_its_start_may_come_back() {
    let (service, mut other, before) = service();
    let mut leaving = client(&service, 1);
    leaving.call(&create_system(1, "left", OWN_IDS)).ok();
    let seen = (&service, &mut other);
    leave_unanswered(leaving, &start_system(1), "waits for the machine", seen);
    end(other, "left", &service, &before);
}

#[test]
fn a_stream_to_an_agent_is_let_go_though_the_client_of_a_process_may_come_back() {
    let (service, mut other, before) = service();
    let mut leaving = client(&service, 1);
    leaving.start_container(1, "left");
    let process = create_process(1, 2, &shell("true"));
    let seen = (&service, &mut other);
    leave_unanswered(leaving, &process, "ExecuteProcess", seen);
    end(other, "left", &service, &before);
}

#[test]
fn clients_that_leave_at_any_moment_leave_nothing_in_the_service() {
    let (service, mut other, before) = service();
    for number in 0..MOMENTS {
        let mut leaving = client(&service, number);
        leaving.send_together([
            &create_system(1, &format!("left-{number}"), PASSING),
            &start_system(1),
            &create_process(1, 2, &shell("true")),
        ]);
        thread::sleep(Duration::from_millis(number.into()));
    }
    await_that("all systems have ended", || {
        let listed = other.call(&Call::EnumerateSystems { query: None }).ok();
        listed.json() == Value::Array(Vec::new())
    });
    await_that("all are let go", || held(&service) == before);
}

#[test]
fn a_handle_of_a_system_that_has_ended_keeps_no_range_of_ids() {
    let (service, mut client, before) = service();
    let ranges = |held: &BTreeMap<_, _>| held.get("ranges of ids").copied();
    for system in 2..6 {
        let create = create_system(system, &format!("held-{system}"), OWN_IDS);
        client.call(&create).ok();
        client.call(&start_system(system)).ok();
    }
    assert_eq!(ranges(&held(&service)), Some(4));
    (2..6).for_each(|system| client.terminate(system));
    await_that("the ranges are given back", || {
        ranges(&held(&service)) == ranges(&before)
    });
}
