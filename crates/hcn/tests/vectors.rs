//! Every document that a real client was seen to send must parse and lose nothing, where the recordings are at hand; and
//! the calls that they were recorded from must do what the client expected.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

use std::{env, fs, path::Path};

use hcn::{
    Guid, State, Surroundings,
    documents::{
        HostComputeEndpoint, HostComputeNamespace, HostComputeNetwork, HostComputeQuery,
        ModifyNamespaceRequest,
    },
};
use hcs_schema::{Document, parse};
use serde_json::Value;

fn recorded(name: &str) -> Option<String> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
    let directory = env::var_os("HCS_VECTORS_DIR").map_or(beside, Into::into);
    let path = directory.join(format!("computenetwork.{name}.json"));
    let text = fs::read_to_string(&path).ok();
    if text.is_none() {
        eprintln!(
            "skipped: there is no {} ($HCS_VECTORS_DIR names its directory)",
            path.display()
        );
    }
    text
}

fn same<T: Document>(name: &str) {
    let Some(text) = recorded(name) else { return };
    let document: T = parse(&text).unwrap();
    let sent: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_value(document).unwrap(), sent, "{name}");
}

#[test]
fn every_recorded_document_parses_and_loses_nothing() {
    same::<HostComputeNetwork>("HcnCreateNetwork");
    same::<HostComputeEndpoint>("HcnCreateEndpoint");
    same::<HostComputeNamespace>("HcnCreateNamespace");
    same::<HostComputeNamespace>("HcnCreateNamespace-2");
    same::<ModifyNamespaceRequest>("HcnModifyNamespace");
    for name in [
        "HcnEnumerateNamespaces",
        "HcnQueryEndpointProperties",
        "HcnQueryNamespaceProperties",
        "HcnQueryNetworkProperties",
    ] {
        same::<HostComputeQuery>(name);
    }
}

#[test]
fn the_recorded_calls_do_what_their_client_expected() {
    let Some(network) = recorded("HcnCreateNetwork") else {
        return;
    };
    let [endpoint, namespace, modify, query, enumerate] = [
        "HcnCreateEndpoint",
        "HcnCreateNamespace",
        "HcnModifyNamespace",
        "HcnQueryEndpointProperties",
        "HcnEnumerateNamespaces",
    ]
    .map(|name| recorded(name).unwrap());
    let id: Guid = "11111111-2222-4333-8444-555555555555".parse().unwrap();
    let mut state = State::default();
    state
        .create_network(id, &network, &Surroundings::default())
        .unwrap();
    state.create_endpoint(id, id, &endpoint).unwrap();
    state.create_namespace(id, &namespace).unwrap();
    state.modify_namespace(id, &modify).unwrap();
    let told: Value = serde_json::from_str(&state.query_endpoint(id, &query).unwrap()).unwrap();
    let sent: Value = serde_json::from_str(&endpoint).unwrap();
    for name in ["Name", "IpConfigurations", "Routes", "HostComputeNetwork"] {
        assert_eq!(told[name], sent[name], "{name}");
    }
    assert_eq!(told["HostComputeNamespace"], id.to_string());
    assert_eq!(
        state.enumerate_namespaces(&enumerate).unwrap(),
        format!("[\"{id}\"]")
    );
    let intent = state.intent();
    assert_eq!(
        intent.networks[0].addresses[0].0.to_string(),
        "192.168.128.1"
    );
    assert_eq!(intent.endpoints[0].routes.len(), 2);
}
