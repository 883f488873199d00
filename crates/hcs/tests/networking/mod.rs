//! Networks, endpoints, namespaces and load balancers, from their making to their end.

use hcs::network::{self, ObjectKind};
use serde_json::{Value, json};

use crate::killing::{Progress, answered};

const KINDS: [ObjectKind; 4] = [
    ObjectKind::Network,
    ObjectKind::Endpoint,
    ObjectKind::Namespace,
    ObjectKind::LoadBalancer,
];

/// A document of version 2 with these properties.
fn document(mut properties: Value) -> String {
    properties["SchemaVersion"] = json!({ "Major": 2, "Minor": 0 });
    properties.to_string()
}

/// A request to change an object.
fn request(resource: &str, what: &str, settings: &Value) -> String {
    json!({ "ResourceType": resource, "RequestType": what, "Settings": settings }).to_string()
}

/// Asks for an object in each way there is.
fn look(kind: ObjectKind, id: &str) {
    assert_eq!(answered(network::open(kind, id)), id);
    assert!(answered(network::enumerate(kind, "")).contains(&id.to_owned()));
    let told = answered(network::query(kind, id, &document(json!({}))));
    assert!(told.contains(id), "{told}");
}

/// A network with an endpoint that is in a namespace for a while. Its name is its own: a network that was created twice
/// would fail.
pub(crate) fn live(thread: usize, round: usize, progress: &Progress) {
    let name = json!({ "Name": format!("every-{thread}-{round}"), "Type": "Private" });
    let network = answered(network::create(ObjectKind::Network, "", &document(name)));
    progress.round();
    let empty = document(json!({}));
    let endpoint = answered(network::create_endpoint(&network, "", &empty));
    progress.round();
    let namespace = answered(network::create(ObjectKind::Namespace, "", &empty));
    progress.round();
    for (kind, id) in KINDS.iter().zip([&network, &endpoint, &namespace]) {
        look(*kind, id);
    }
    answered(network::statistics(&endpoint, ""));
    let plug = |what: &str| {
        let settings = json!({ "EndpointId": endpoint });
        let request = request("Endpoint", what, &settings);
        answered(network::modify(ObjectKind::Namespace, &namespace, &request));
        progress.round();
    };
    // Done twice, either would be refused.
    plug("Add");
    plug("Remove");
    let acl = json!({ "Direction": "In", "Action": "Block", "Priority": 1, "Protocols": "6" });
    let policies = json!({ "Policies": [{ "Type": "ACL", "Settings": acl }] });
    let block = request("Policy", "Add", &policies);
    answered(network::modify(ObjectKind::Endpoint, &endpoint, &block));
    progress.round();
    answered(network::delete(ObjectKind::Namespace, &namespace));
    progress.round();
    if round.is_multiple_of(2) {
        answered(network::delete(ObjectKind::Endpoint, &endpoint));
        progress.round();
        answered(network::delete_unused_network(&network));
    } else {
        // With its endpoint.
        answered(network::delete(ObjectKind::Network, &network));
    }
    progress.round();
}

/// A load balancer before an endpoint. Its port of the host is its own: one that was created twice would be refused.
pub(crate) fn balance(thread: usize, round: usize, progress: &Progress) {
    let name = json!({ "Name": format!("balanced-{thread}-{round}") });
    let network = answered(network::create(ObjectKind::Network, "", &document(name)));
    progress.round();
    let empty = document(json!({}));
    let endpoint = answered(network::create_endpoint(&network, "", &empty));
    let with_port = |port: usize| {
        let port = json!({ "Protocol": 6, "InternalPort": 80, "ExternalPort": port });
        document(json!({ "HostComputeEndpoints": [endpoint], "PortMappings": [port] }))
    };
    let kind = ObjectKind::LoadBalancer;
    let port = 10_000 + 2 * (thread * 1000 + round % 1000);
    let balancer = answered(network::create(kind, "", &with_port(port)));
    progress.round();
    look(kind, &balancer);
    answered(network::modify(kind, &balancer, &with_port(port + 1)));
    progress.round();
    answered(network::delete(kind, &balancer));
    progress.round();
    // With its endpoint.
    answered(network::delete(ObjectKind::Network, &network));
    progress.round();
}

/// An object that was created twice would be there still.
pub(crate) fn assert_none_is_left() {
    for kind in KINDS {
        let left = answered(network::enumerate(kind, ""));
        assert!(left.is_empty(), "{kind:?}: {left:?}");
    }
}
