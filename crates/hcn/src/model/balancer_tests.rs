//! Load balancers: what is kept, what is refused.

use serde_json::json;

use super::{
    tests::{V2, asked, mapping, network, refuses, v2, with_network},
    *,
};

#[test]
fn load_balancers_are_kept_and_lead_to_endpoints_that_are_there() {
    let mut state = with_network();
    state
        .create_endpoint(Guid(1), Guid(2), &v2(json!({})))
        .unwrap();
    let port = json!({"Protocol": 6, "InternalPort": 80, "ExternalPort": 8080, "DistributionType": "SourceIP"});
    let settings = v2(json!({
        "Name": "lb", "HostComputeNetwork": Guid(1), "HostComputeEndpoints": [Guid(2)],
        "FrontendVIPs": ["192.0.2.1"], "PortMappings": [port], "Flags": 1, "SourceVIP": "",
    }));
    let made = state.create_load_balancer(Guid(5), &settings).unwrap();
    assert_eq!(made.written, [Object::LoadBalancer(Guid(5))]);
    assert_eq!(asked(state.query_load_balancer(Guid(5), V2))["Name"], "lb");
    assert_eq!(asked(state.enumerate_load_balancers("")), json!([Guid(5)]));
    // An endpoint in no namespace is no target.
    assert_eq!(state.intent().balancers[0].targets.len(), 0);
    attach_in(&mut state, 20, 2);
    let intent = state.intent();
    assert_eq!(intent.balancers[0].targets.len(), 1);
    assert!(intent.endpoints[0].balanced);
    assert_eq!(State::restore(records(&state)).0, state);

    let twice = |state: &mut State| state.create_load_balancer(Guid(5), &settings);
    refuses(&state, HResult::HCN_E_POLICY_ALREADY_EXISTS, "", twice);
    let nowhere = v2(json!({"HostComputeNetwork": Guid(9)}));
    refuses(&state, HResult::HCN_E_NETWORK_NOT_FOUND, "", |state| {
        state.create_load_balancer(Guid(6), &nowhere)
    });
    refuses(&state, HResult::HCN_E_ENTITY_HAS_REFERENCES, "", |state| {
        state.delete_network(Guid(1))
    });
    refuses(&state, HResult::HCN_E_ENTITY_HAS_REFERENCES, "", |state| {
        state.delete_endpoint(Guid(2))
    });
    // One that goes with its container leaves the others.
    let ended = state.end_endpoint(Guid(2)).unwrap();
    assert!(ended.written.contains(&Object::LoadBalancer(Guid(5))));
    assert_eq!(state.intent().balancers[0].targets.len(), 0);
    let told = asked(state.query_load_balancer(Guid(5), V2));
    assert_eq!(told["HostComputeEndpoints"], json!([]));
    state
        .modify_load_balancer(Guid(5), &v2(json!({"Name": "other"})))
        .unwrap();
    assert_eq!(
        asked(state.query_load_balancer(Guid(5), V2))["Name"],
        "other"
    );
    state.delete_namespace(Guid(20)).unwrap();
    state.delete_network(Guid(1)).unwrap();
    state.delete_load_balancer(Guid(5)).unwrap();
    assert_eq!(state, State::default());
    refuses(&state, HResult::NOT_FOUND, "", |state| {
        state.delete_load_balancer(Guid(5))
    });
}

#[test]
fn ids_in_a_load_balancer_are_told_as_all_ids_are() {
    let mut state = with_network();
    let id = Guid(0xabcd_ef00_0000_0000_0000_0000_0000_0002);
    state.create_endpoint(Guid(1), id, &v2(json!({}))).unwrap();
    let given = format!("{{{}}}", id.to_string().to_lowercase());
    let settings = v2(json!({ "HostComputeEndpoints": [given] }));
    state.create_load_balancer(Guid(5), &settings).unwrap();
    let told = asked(state.query_load_balancer(Guid(5), V2));
    assert_eq!(told["HostComputeEndpoints"], json!([id]));
}

fn attach_in(state: &mut State, namespace: u128, endpoint: u128) {
    let resources = json!([{"Type": "Endpoint", "Data": {"Id": Guid(endpoint)}}]);
    let settings = json!({ "Resources": resources }).to_string();
    state.create_namespace(Guid(namespace), &settings).unwrap();
}

fn records(state: &State) -> Vec<Record> {
    let objects = state.objects().into_iter();
    objects.filter_map(|object| state.record(object)).collect()
}

#[test]
fn load_balancers_that_cannot_be_are_refused_by_pointer() {
    let mut state = with_network();
    network(&mut state, 3, json!({"Type": "Internal"})).unwrap();
    state
        .create_endpoint(Guid(1), Guid(2), &v2(json!({"Policies": mapping(9090)})))
        .unwrap();
    state
        .create_endpoint(Guid(3), Guid(4), &v2(json!({})))
        .unwrap();
    let port = |external: u16| json!({"Protocol": 6, "InternalPort": 80, "ExternalPort": external});
    let there = v2(json!({"FrontendVIPs": ["192.0.2.1"], "PortMappings": [port(80)]}));
    state.create_load_balancer(Guid(5), &there).unwrap();
    for (document, code, pointer) in [
        (
            json!({"HostComputeEndpoints": [Guid(9)]}),
            HResult::HCN_E_ENDPOINT_NOT_FOUND,
            "/HostComputeEndpoints/0",
        ),
        (
            json!({"HostComputeEndpoints": [Guid(2), Guid(4)]}),
            HResult::HCN_E_MAPPING_NOT_SUPPORTED,
            "/HostComputeEndpoints/1",
        ),
        (
            json!({"FrontendVIPs": ["192.0.2.1"], "PortMappings": [port(80)]}),
            HResult::HCN_E_PORT_ALREADY_EXISTS,
            "/PortMappings",
        ),
        (
            json!({"PortMappings": [port(9090)]}),
            HResult::HCN_E_PORT_ALREADY_EXISTS,
            "/PortMappings",
        ),
        (
            json!({"PortMappings": [port(81), port(81)]}),
            HResult::HCN_E_PORT_ALREADY_EXISTS,
            "/PortMappings",
        ),
    ] {
        refuses(&state, code, pointer, |state| {
            state.create_load_balancer(Guid(6), &v2(document))
        });
    }
    // Nor does a port come to an endpoint that a load balancer has.
    let balanced = v2(json!({"PortMappings": [port(7070)]}));
    state.create_load_balancer(Guid(6), &balanced).unwrap();
    let pointer = "/Policies/0/Settings/ExternalPort";
    refuses(
        &state,
        HResult::HCN_E_PORT_ALREADY_EXISTS,
        pointer,
        |state| {
            let document = v2(json!({"Policies": mapping(7070)}));
            state.create_endpoint(Guid(1), Guid(7), &document)
        },
    );
}

#[test]
fn values_that_no_load_balancer_has_are_refused_by_pointer() {
    let state = with_network();
    let port = |external: u16| json!({"Protocol": 6, "InternalPort": 80, "ExternalPort": external});
    for (document, code, pointer) in [
        (
            json!({"FrontendVIPs": ["::1"]}),
            HResult::HCN_E_INVALID_IP,
            "/FrontendVIPs/0",
        ),
        (
            json!({"FrontendVIPs": ["127.0.0.1"]}),
            HResult::HCN_E_INVALID_IP,
            "/FrontendVIPs/0",
        ),
        (
            json!({"SourceVIP": "x"}),
            HResult::HCN_E_INVALID_IP,
            "/SourceVIP",
        ),
        (
            json!({"PortMappings": [port(0)]}),
            HResult::HCN_E_INVALID_POLICY,
            "/PortMappings/0/ExternalPort",
        ),
        (
            json!({"PortMappings": [{"Protocol": 1}]}),
            HResult::HCN_E_INVALID_POLICY,
            "/PortMappings/0/Protocol",
        ),
        (
            json!({"Flags": 2, "FrontendVIPs": ["fd99::1", "192.0.2.1"]}),
            HResult::HCN_E_INVALID_IP,
            "/FrontendVIPs/1",
        ),
        (
            json!({"Flags": 2, "FrontendVIPs": ["fe80::1"]}),
            HResult::HCN_E_INVALID_IP,
            "/FrontendVIPs/0",
        ),
        (
            json!({"Flags": 2, "FrontendVIPs": ["::ffff:192.0.2.1"]}),
            HResult::HCN_E_INVALID_IP,
            "/FrontendVIPs/0",
        ),
        (
            json!({"Flags": 2, "SourceVIP": "192.0.2.1"}),
            HResult::HCN_E_INVALID_IP,
            "/SourceVIP",
        ),
        (json!({"Flags": 4}), HResult::HCN_E_INVALID_JSON, "/Flags"),
    ] {
        refuses(&state, code, pointer, |state| {
            state.create_load_balancer(Guid(6), &v2(document))
        });
    }
}

/// A NAT network 1 with subnets of both families, and its endpoints 2 and 3: the second has a way to all addresses of
/// IPv6.
fn with_both() -> State {
    let mut state = State::default();
    let subnets = json!([{"Subnets": [{"IpAddressPrefix": "10.0.0.0/24"}, {"IpAddressPrefix": "fd00::/64"}]}]);
    network(&mut state, 1, json!({ "Ipams": subnets })).unwrap();
    let way = json!([{"NextHop": "fd00::1", "DestinationPrefix": "::/0"}]);
    for (id, document) in [(2, json!({})), (3, json!({ "Routes": way }))] {
        state
            .create_endpoint(Guid(1), Guid(id), &v2(document))
            .unwrap();
        attach_in(&mut state, id + 20, id);
    }
    state
}

#[test]
fn load_balancers_of_ipv6_lead_to_addresses_of_ipv6() {
    let mut state = with_both();
    let port = json!({"Protocol": 17, "InternalPort": 53, "ExternalPort": 53});
    let of_six = v2(json!({
        "HostComputeEndpoints": [Guid(2), Guid(3)], "PortMappings": [port], "Flags": 2, "FrontendVIPs": ["fd99::1", "::"],
    }));
    state.create_load_balancer(Guid(5), &of_six).unwrap();
    // The same port of the other family is another one.
    let of_four = v2(json!({"HostComputeEndpoints": [Guid(2)], "PortMappings": [port]}));
    state.create_load_balancer(Guid(6), &of_four).unwrap();
    let [six, four] = &state.intent().balancers[..] else {
        panic!("there are two");
    };
    let texts = |addresses: &[std::net::IpAddr]| {
        let texts = addresses.iter().map(ToString::to_string);
        texts.collect::<Vec<_>>()
    };
    assert_eq!(texts(&six.targets), ["fd00::2", "fd00::3"]);
    assert_eq!(texts(&six.one_way), ["fd00::2"]);
    let fronts = six.ports.iter().map(|port| (port.is_ipv4, port.address));
    let fronts: Vec<_> = fronts.collect();
    assert_eq!(fronts, [(false, "fd99::1".parse().ok()), (false, None)]);
    assert_eq!(texts(&four.targets), ["10.0.0.2"]);
    assert!(four.one_way.is_empty());
    assert_eq!(State::restore(records(&state)).0, state);
    refuses(
        &state,
        HResult::HCN_E_PORT_ALREADY_EXISTS,
        "/PortMappings",
        |state| state.create_load_balancer(Guid(7), &of_six),
    );
}

#[test]
fn load_balancers_of_ipv6_lead_nowhere_else() {
    let mut state = with_both();
    let only_4 = v2(json!({"IpConfigurations": [{"IpAddress": "10.0.0.9"}]}));
    state.create_endpoint(Guid(1), Guid(4), &only_4).unwrap();
    let create = |endpoints: [u128; 2], source: &str| {
        let endpoints = endpoints.map(Guid);
        v2(json!({"HostComputeEndpoints": endpoints, "Flags": 2, "SourceVIP": source}))
    };
    for (settings, at) in [
        (create([3, 4], ""), 1),
        // The first has no way back to that.
        (create([3, 2], "fd99::1"), 1),
    ] {
        refuses(
            &state,
            HResult::HCN_E_MAPPING_NOT_SUPPORTED,
            &format!("/HostComputeEndpoints/{at}"),
            |state| state.create_load_balancer(Guid(5), &settings),
        );
    }
    for settings in [create([2, 3], "fd00::1"), create([3, 3], "fd99::1")] {
        state
            .clone()
            .create_load_balancer(Guid(5), &settings)
            .unwrap();
    }
}
