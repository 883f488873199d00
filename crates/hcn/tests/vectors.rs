//! Documents that clients send must parse and lose nothing, and the calls that they belong to must do what their client
//! expects: always those of this repository, and those that were recorded of a real client where they are at hand.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use hcn::{
    Guid, State, Surroundings,
    documents::{
        HostComputeEndpoint, HostComputeNamespace, HostComputeNetwork, HostComputeQuery,
        ModifyNamespaceRequest,
    },
};
use hcs_schema::{Document, parse};
use serde_json::Value;

/// What a client sends to put an endpoint of a new network into a new namespace, and to ask for it.
struct Session {
    network: String,
    endpoint: String,
    namespace: String,
    modify: String,
    query: String,
}

/// The documents of this repository.
fn own() -> Session {
    Session {
        network: include_str!("documents/network.json").to_owned(),
        endpoint: include_str!("documents/endpoint.json").to_owned(),
        namespace: include_str!("documents/namespace.json").to_owned(),
        modify: include_str!("documents/add-endpoint.json").to_owned(),
        query: include_str!("documents/query.json").to_owned(),
    }
}

/// The directory of recorded documents; `None` (and a word about it) where there is none. A directory without them is a
/// fault: a test that finds nothing to do must not pass.
fn recordings() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
    let directory = env::var_os("HCS_VECTORS_DIR").map_or(beside, Into::into);
    if directory.is_dir() {
        return Some(directory);
    }
    eprintln!(
        "skipped: there is no {} ($HCS_VECTORS_DIR names it)",
        directory.display()
    );
    None
}

fn recorded(directory: &Path, name: &str) -> String {
    let path = directory.join(format!("computenetwork.{name}.json"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn same<T: Document>(text: &str) {
    let document: T = parse(text).unwrap();
    let sent: Value = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_value(document).unwrap(), sent, "{text}");
}

/// Plays the session: the endpoint is told as it was sent, is found by its id, and in its namespace.
fn does_what_its_client_expects(session: &Session) -> State {
    let sent: Value = serde_json::from_str(&session.endpoint).unwrap();
    let id: Guid = sent["HostComputeNetwork"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let mut state = State::default();
    state
        .create_network(id, &session.network, &Surroundings::default())
        .unwrap();
    state.create_endpoint(id, id, &session.endpoint).unwrap();
    state.create_namespace(id, &session.namespace).unwrap();
    state.modify_namespace(id, &session.modify).unwrap();
    let told = state.query_endpoint(id, &session.query).unwrap();
    let told: Value = serde_json::from_str(&told).unwrap();
    for name in ["Name", "IpConfigurations", "Routes"] {
        assert_eq!(told[name], sent[name], "{name}");
    }
    assert_eq!(told["HostComputeNetwork"], id.to_string());
    assert_eq!(told["HostComputeNamespace"], id.to_string());
    assert_eq!(
        state.enumerate_namespaces(&session.query).unwrap(),
        format!("[\"{id}\"]")
    );
    assert_eq!(state.intent().endpoints[0].routes.len(), 2);
    state
}

#[test]
fn every_document_of_our_own_parses_and_loses_nothing() {
    let own = own();
    same::<HostComputeNetwork>(&own.network);
    same::<HostComputeEndpoint>(&own.endpoint);
    same::<HostComputeNamespace>(&own.namespace);
    same::<ModifyNamespaceRequest>(&own.modify);
    same::<HostComputeQuery>(&own.query);
}

#[test]
fn every_recorded_document_parses_and_loses_nothing() {
    let Some(directory) = recordings() else {
        return;
    };
    let text = |name: &str| recorded(&directory, name);
    same::<HostComputeNetwork>(&text("HcnCreateNetwork"));
    same::<HostComputeEndpoint>(&text("HcnCreateEndpoint"));
    same::<HostComputeNamespace>(&text("HcnCreateNamespace"));
    same::<HostComputeNamespace>(&text("HcnCreateNamespace-2"));
    same::<ModifyNamespaceRequest>(&text("HcnModifyNamespace"));
    for name in [
        "HcnEnumerateNamespaces",
        "HcnQueryEndpointProperties",
        "HcnQueryNamespaceProperties",
        "HcnQueryNetworkProperties",
    ] {
        same::<HostComputeQuery>(&text(name));
    }
}

#[test]
fn the_calls_of_our_own_do_what_their_client_expects() {
    let state = does_what_its_client_expects(&own());
    let intent = state.intent();
    assert_eq!(intent.networks[0].addresses[0].0.to_string(), "10.40.8.1");
    assert_eq!(intent.endpoints[0].mappings[0].external, 8080);
    assert_eq!(intent.endpoints[0].mac.to_string(), "00-15-5D-40-00-00");
}

#[test]
fn the_recorded_calls_do_what_their_client_expected() {
    let Some(directory) = recordings() else {
        return;
    };
    let text = |name: &str| recorded(&directory, name);
    let state = does_what_its_client_expects(&Session {
        network: text("HcnCreateNetwork"),
        endpoint: text("HcnCreateEndpoint"),
        namespace: text("HcnCreateNamespace"),
        modify: text("HcnModifyNamespace"),
        query: text("HcnEnumerateNamespaces"),
    });
    let addresses = &state.intent().networks[0].addresses;
    assert_eq!(addresses[0].0.to_string(), "192.168.128.1");
}
