//! How what an endpoint sends to the outside is translated.

use serde_json::{Value, json};

use crate::{
    traffic::{bind, exchange, listen, talk},
    world::{FAR, OUTSIDE, UPLINK, World, can_work},
};

/// An endpoint with these settings of a policy OutBoundNAT.
fn outbound(settings: &Value) -> Value {
    json!({"Policies": [{"Type": "OutBoundNAT", "Settings": settings}]})
}

/// Another address of the host.
const OTHER: &str = "198.51.100.7";

#[test]
fn peers_see_the_address_that_the_policy_of_an_endpoint_names() {
    if !can_work() {
        return;
    }
    let mut world = World::new();
    world.host.ip(&format!("addr add {OTHER}/24 dev up0"));
    let network = world.network(1, json!({}));
    let plain = world.container(network, 2, json!({}));
    let own = world.container(
        network,
        3,
        outbound(&json!({"Exceptions": [OUTSIDE, "fd00::/8"]})),
    );
    let only = world.container(
        network,
        4,
        outbound(&json!({"Destinations": ["203.0.113.0/24"]})),
    );
    let other = world.container(
        network,
        5,
        outbound(&json!({"VirtualIP": OTHER, "Exceptions": ["203.0.113.0/24"]})),
    );
    world
        .outside
        .ip(&format!("route add 10.231.0.0/24 via {UPLINK}"));
    let server = listen(&world.outside, 80);
    let datagrams = bind(&world.outside, 81);
    for (container, outside, far) in [
        (&plain, UPLINK, UPLINK),
        (&own, own.address.as_str(), UPLINK),
        (&only, only.address.as_str(), UPLINK),
        (&other, OTHER, other.address.as_str()),
    ] {
        for (to, seen) in [(OUTSIDE, outside), (FAR, far)] {
            assert_eq!(
                talk(&container.space, (to, 80), &server).to_string(),
                seen,
                "{to}"
            );
        }
        // A server at any address answers from that of its link.
        let said = exchange(&container.space, (OUTSIDE, 81), &datagrams).to_string();
        assert_eq!(said, outside);
    }
    // Within the network, and at ports of the host, all is as without it.
    let inner = listen(&plain.space, 90);
    for container in [&own, &only, &other] {
        let seen = talk(&container.space, (&plain.address, 90), &inner);
        assert_eq!(seen.to_string(), container.address);
    }
    let here = listen(&world.host, 91);
    assert_eq!(
        talk(&other.space, (UPLINK, 91), &here).to_string(),
        other.address
    );
    // A policy that is taken away counts no more.
    let policies = world.state.endpoint(own.endpoint).unwrap();
    let policies = policies.terms().outbound.clone();
    assert_eq!(policies.exceptions.len(), 1, "of IPv4 alone");
    let request = json!({"ResourceType": "Policy", "RequestType": "Reset", "Settings": {}});
    world
        .state
        .modify_endpoint(own.endpoint, &request.to_string())
        .unwrap();
    world.rules();
    assert_eq!(talk(&own.space, (OUTSIDE, 80), &server).to_string(), UPLINK);
}
