//! What a program is told of networks: all that happens, or that something is missing.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod service;

use std::sync::{Arc, Barrier, mpsc};

use hcs::{
    HResult,
    network::{self, NetworkEvent, ObjectKind, SERVICE_DISCONNECT, Watcher},
};
use serde_json::{Value, json};
use service::{in_namespaces_of_its_own, kill};

const CONFIGURATION: &str = "[times]\nidle_seconds = 1\n";

const NETWORK_PRE_CREATE: u32 = 1;
const NETWORK_CREATE: u32 = 2;
const NETWORK_PRE_DELETE: u32 = 3;
const NETWORK_DELETE: u32 = 4;
const NAMESPACE_CREATE: u32 = 5;
const NAMESPACE_DELETE: u32 = 6;

fn document(mut properties: Value) -> String {
    properties["SchemaVersion"] = json!({ "Major": 2, "Minor": 0 });
    properties.to_string()
}

fn network(name: &str) -> String {
    let settings = document(json!({ "Name": name, "Type": "Private" }));
    network::create(ObjectKind::Network, "", &settings)
        .wait()
        .unwrap()
}

fn watcher() -> (Watcher, mpsc::Receiver<NetworkEvent>) {
    let (sender, heard) = mpsc::channel();
    let watcher = Watcher::new(move |event| sender.send(event.clone()).unwrap()).unwrap();
    watcher.begin().unwrap();
    (watcher, heard)
}

/// The next event, which is of this kind and about this object.
#[track_caller]
fn hears(heard: &mpsc::Receiver<NetworkEvent>, kind: u32, id: &str) {
    let event = heard.recv().unwrap();
    let data: Value = serde_json::from_str(event.data.as_deref().unwrap_or("null")).unwrap();
    assert_eq!(event.kind, kind, "{data}");
    assert_eq!(event.status, HResult::S_OK);
    assert_eq!((&data["ID"], &data["Flags"]), (&json!(id), &json!(0)));
}

#[track_caller]
fn hears_of_a_gap(heard: &mpsc::Receiver<NetworkEvent>, why: HResult) {
    let event = heard.recv().unwrap();
    assert_eq!((event.kind, event.status), (SERVICE_DISCONNECT, why));
    assert_eq!(event.data, None);
}

#[test]
fn a_service_that_dies_is_told_and_what_comes_next_is_too() {
    let test = "a_service_that_dies_is_told_and_what_comes_next_is_too";
    let Some(endpoint) = in_namespaces_of_its_own(test, CONFIGURATION) else {
        return;
    };
    let (watcher, heard) = watcher();
    for round in 0..5 {
        let id = network(&format!("round-{round}"));
        hears(&heard, NETWORK_PRE_CREATE, &id);
        hears(&heard, NETWORK_CREATE, &id);
        kill(&endpoint);
        network::delete(ObjectKind::Network, &id).wait().unwrap();
        hears_of_a_gap(&heard, HResult::HCS_E_SERVICE_DISCONNECT);
        hears(&heard, NETWORK_PRE_DELETE, &id);
        hears(&heard, NETWORK_DELETE, &id);
    }
    watcher.end();
    let id = network("unheard");
    network::delete(ObjectKind::Network, &id).wait().unwrap();
    // The function is gone, and with it the other end.
    assert!(heard.recv().is_err());
}

#[test]
fn a_slow_callback_is_told_of_its_gap_and_delays_no_other() {
    let test = "a_slow_callback_is_told_of_its_gap_and_delays_no_other";
    if in_namespaces_of_its_own(test, CONFIGURATION).is_none() {
        return;
    }
    // More than the service keeps.
    const ROUNDS: usize = 700;
    let (sender, slow) = mpsc::channel();
    let gate = Arc::new(Barrier::new(2));
    let (at_gate, has_waited) = (Arc::clone(&gate), std::sync::Once::new());
    let told = move |event: &NetworkEvent| {
        has_waited.call_once(|| {
            at_gate.wait();
            at_gate.wait();
        });
        sender.send(event.clone()).unwrap();
    };
    let late = Watcher::new(told).unwrap();
    late.begin().unwrap();
    let (_watcher, heard) = watcher();
    let namespace = || {
        let made = network::create(ObjectKind::Namespace, "", &document(json!({})));
        let id = made.wait().unwrap();
        hears(&heard, NAMESPACE_CREATE, &id);
        id
    };
    let first = namespace();
    // It is within its function, and stays there.
    gate.wait();
    network::delete(ObjectKind::Namespace, &first)
        .wait()
        .unwrap();
    hears(&heard, NAMESPACE_DELETE, &first);
    for _ in 1..ROUNDS {
        let id = namespace();
        network::delete(ObjectKind::Namespace, &id).wait().unwrap();
        hears(&heard, NAMESPACE_DELETE, &id);
    }
    gate.wait();
    hears(&slow, NAMESPACE_CREATE, &first);
    let rest: Vec<NetworkEvent> = slow.iter().take(2).collect();
    let gap = rest.iter().find(|event| event.kind == SERVICE_DISCONNECT);
    assert_eq!(gap.unwrap().status, HResult::ENTRY_DELETED, "{rest:?}");
    let last = namespace();
    // Up to the newest, nothing is missing any more.
    let about_last =
        |event: &NetworkEvent| event.data.as_ref().is_some_and(|data| data.contains(&last));
    assert!(slow.iter().any(|event| about_last(&event)));
    network::delete(ObjectKind::Namespace, &last)
        .wait()
        .unwrap();
}
