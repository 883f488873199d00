//! Networks over other hosts, as the model knows them.

use serde_json::{Value, json};

use super::*;

fn v2(mut document: Value) -> String {
    document["SchemaVersion"] = json!({"Major": 2, "Minor": 0});
    document.to_string()
}

fn policy(kind: &str, settings: &Value) -> Value {
    json!({"Type": kind, "Settings": settings})
}

fn overlay(policies: &[Value]) -> Value {
    let vsid = policy("VSID", &json!({"IsolationId": 5000}));
    let subnet = json!({"IpAddressPrefix": "10.77.0.0/24", "Policies": [vsid]});
    json!({"Type": "Overlay", "Policies": policies, "Ipams": [{"Subnets": [subnet]}]})
}

fn remote() -> Value {
    json!({
        "Flags": 1, "MacAddress": "00-15-5D-02-00-14",
        "IpConfigurations": [{"IpAddress": "10.77.9.20"}],
        "Policies": [policy("ProviderAddress", &json!({"ProviderAddress": "192.0.2.2"}))],
    })
}

fn route(change: &Value) -> Value {
    let mut route = json!({
        "DestinationPrefix": "10.78.0.0/24", "IsolationId": 5000, "ProviderAddress": "192.0.2.2",
        "DistributedRouterMacAddress": "02-00-00-00-00-02",
    });
    for (name, value) in change.as_object().unwrap() {
        route[name] = value.clone();
    }
    policy("RemoteSubnetRoute", &route)
}

fn told(failure: &Failure) -> (HResult, String) {
    let pointer = failure.causes[0].pointer.clone();
    (failure.hresult, pointer.unwrap_or_default())
}

#[test]
fn endpoints_and_subnets_of_other_hosts_are_wanted_and_restored() {
    let mut state = State::default();
    let policies = [
        policy("VxlanPort", &json!({"Port": 4790})),
        policy("DrMacAddress", &json!({"Address": "02-00-00-00-00-01"})),
        route(&json!({})),
    ];
    let surroundings = Surroundings::default();
    let document = v2(overlay(&policies));
    state
        .create_network(Guid(1), &document, &surroundings)
        .unwrap();
    state
        .create_endpoint(Guid(1), Guid(2), &v2(remote()))
        .unwrap();
    state
        .create_endpoint(Guid(1), Guid(3), &v2(json!({})))
        .unwrap();
    let network = state.network_intent(Guid(1)).unwrap();
    let tunnel = network.tunnel.unwrap();
    assert_eq!((tunnel.number, tunnel.port), (5000, 4790));
    assert_eq!(tunnel.peers.len(), 1, "an endpoint of this host is none");
    assert_eq!(tunnel.peers[0].provider.to_string(), "192.0.2.2");
    assert_eq!(tunnel.peers[0].addresses[0].to_string(), "10.77.9.20");
    assert_eq!(tunnel.subnets[0].to.to_string(), "10.78.0.0/24");
    assert_eq!(tunnel.router.unwrap().to_string(), "02-00-00-00-00-01");
    let routes = &state.endpoint(Guid(3)).unwrap().terms().routes;
    assert_eq!(routes[0].1.to_string(), "10.77.0.1", "by this host");
    let records = state.objects().into_iter();
    let records = records.filter_map(|object| state.record(object)).collect();
    let (restored, faults) = State::restore(records);
    assert!(faults.is_empty(), "{faults:?}");
    assert_eq!(restored, state);
}

#[test]
fn what_is_on_other_hosts_is_theirs() {
    let mut state = State::default();
    let surroundings = Surroundings::default();
    let document = v2(overlay(&[route(&json!({}))]));
    state
        .create_network(Guid(1), &document, &surroundings)
        .unwrap();
    state
        .create_endpoint(Guid(1), Guid(2), &v2(remote()))
        .unwrap();
    // An endpoint of another host is in no namespace of this one.
    let resources = json!([{"Type": "Endpoint", "Data": {"Id": Guid(2)}}]);
    let settings = json!({ "Resources": resources }).to_string();
    let refused = state.create_namespace(Guid(4), &settings).unwrap_err();
    assert_eq!(refused.hresult, HResult::HCN_E_ENDPOINT_NOT_LOCAL);
    // No other network has the same packets.
    let refused = state
        .create_network(Guid(9), &document, &surroundings)
        .unwrap_err();
    assert_eq!(
        told(&refused),
        (HResult::HCN_E_INVALID_POLICY, "/Ipams".to_owned())
    );
    // Subnets of other hosts come and go, and the rest stays.
    let request = |what: &str, policy: &Value| {
        let settings = json!({"Policies": [policy]});
        json!({"ResourceType": "Policy", "RequestType": what, "Settings": settings}).to_string()
    };
    let remove = request("Remove", &route(&json!({})));
    state.modify_network(Guid(1), &remove).unwrap();
    assert!(
        state
            .network_intent(Guid(1))
            .unwrap()
            .tunnel
            .unwrap()
            .subnets
            .is_empty()
    );
    let other = request("Update", &policy("VxlanPort", &json!({"Port": 4791})));
    let refused = state.modify_network(Guid(1), &other).unwrap_err();
    assert_eq!(refused.hresult, HResult::HCN_E_REQUEST_UNSUPPORTED);
}

#[test]
fn overlays_that_cannot_be_are_refused_by_pointer() {
    let unsupported = HResult::HCN_E_REQUEST_UNSUPPORTED;
    let settings = "/Policies/0/Settings";
    for (policy, code, place) in [
        (
            policy("VxlanPort", &json!({"Port": 0})),
            HResult::HCN_E_INVALID_POLICY,
            "/Port",
        ),
        (
            policy("ProviderAddress", &json!({"ProviderAddress": "fd00::1"})),
            HResult::HCN_E_INVALID_IP,
            "/ProviderAddress",
        ),
        (
            policy("DrMacAddress", &json!({"Address": "01-00-00-00-00-01"})),
            HResult::HCN_E_INVALID_POLICY,
            "/Address",
        ),
        (
            route(&json!({"IsolationId": 5001})),
            unsupported,
            "/IsolationId",
        ),
        (
            route(&json!({"DestinationPrefix": "10.78.0.1/24"})),
            HResult::HCN_E_INVALID_PREFIX,
            "/DestinationPrefix",
        ),
        (
            route(&json!({"ProviderAddress": "0.0.0.0"})),
            HResult::HCN_E_INVALID_IP,
            "/ProviderAddress",
        ),
    ] {
        let document = v2(overlay(&[policy]));
        let made = State::default().create_network(Guid(1), &document, &Surroundings::default());
        assert_eq!(
            told(&made.unwrap_err()),
            (code, format!("{settings}{place}")),
            "{document}"
        );
    }
}

#[test]
fn endpoints_of_other_hosts_that_cannot_be_are_refused_by_pointer() {
    let mut state = State::default();
    let surroundings = Surroundings::default();
    state
        .create_network(Guid(1), &v2(overlay(&[])), &surroundings)
        .unwrap();
    state
        .create_network(Guid(5), &v2(json!({"Type": "NAT"})), &surroundings)
        .unwrap();
    let operation = HResult::HCN_E_INVALID_REMOTE_ENDPOINT_OPERATION;
    for (network, change, code, pointer) in [
        (5, json!({}), operation, "/Flags"),
        (1, json!({"MacAddress": null}), operation, "/MacAddress"),
        (
            1,
            json!({"IpConfigurations": []}),
            operation,
            "/IpConfigurations",
        ),
        (1, json!({"Policies": []}), operation, "/Policies"),
        (
            1,
            json!({"Policies": [policy("QOS", &json!({"MaximumOutgoingBandwidthInBytes": 99999}))]}),
            operation,
            "/Policies/0/Type",
        ),
        (
            1,
            json!({"Flags": 0}),
            HResult::HCN_E_INVALID_POLICY,
            "/Policies/0/Type",
        ),
    ] {
        let mut document = remote();
        for (name, value) in change.as_object().unwrap() {
            document[name] = value.clone();
        }
        let made = state.create_endpoint(Guid(network), Guid(2), &v2(document));
        assert_eq!(
            told(&made.unwrap_err()),
            (code, pointer.to_owned()),
            "{change}"
        );
    }
}

#[test]
fn subnets_elsewhere_are_none_that_this_host_reaches_in_another_way() {
    let mut state = State::default();
    let here =
        json!({"Type": "NAT", "Ipams": [{"Subnets": [{"IpAddressPrefix": "10.79.0.0/24"}]}]});
    let none = Surroundings::default();
    state.create_network(Guid(1), &v2(here), &none).unwrap();
    let route_to = |to: &str| route(&json!({"DestinationPrefix": to}));
    let routes = ["192.168.7.0/24", "0.0.0.0/0"].map(|to| to.parse().unwrap());
    let surroundings = Surroundings {
        routes: routes.to_vec(),
        ..Surroundings::default()
    };
    let place = "/Policies/1/Settings/DestinationPrefix".to_owned();
    let refusal = (HResult::HCN_E_INVALID_SUBNET, place);
    for to in [
        "10.79.0.0/24",
        "10.79.0.128/25",
        "10.77.0.0/16",
        "192.168.0.0/16",
    ] {
        let policies = [policy("VxlanPort", &json!({"Port": 4790})), route_to(to)];
        let document = v2(overlay(&policies));
        let refused = state.create_network(Guid(2), &document, &surroundings);
        assert_eq!(told(&refused.unwrap_err()), refusal, "{to}");
    }
    let document = v2(overlay(&[route_to("10.78.0.0/24")]));
    (state.create_network(Guid(2), &document, &surroundings)).unwrap();
    // Nor by a change, nor is a network made where they are.
    let settings = json!({"Policies": [route_to("10.79.0.0/24")]});
    let request = json!({"ResourceType": "Policy", "RequestType": "Add", "Settings": settings});
    let refused = state.modify_network(Guid(2), &request.to_string());
    assert_eq!(told(&refused.unwrap_err()), refusal);
    let there =
        json!({"Type": "NAT", "Ipams": [{"Subnets": [{"IpAddressPrefix": "10.78.0.0/25"}]}]});
    let refused = state
        .create_network(Guid(3), &v2(there), &none)
        .unwrap_err();
    assert_eq!(refused.hresult, HResult::HCN_E_INVALID_SUBNET);
}

#[test]
fn a_hardware_address_is_on_one_host() {
    let other = |provider: &str| {
        route(&json!({"DestinationPrefix": "10.80.0.0/24", "ProviderAddress": provider}))
    };
    let none = Surroundings::default();
    let make = |policies: &[Value]| {
        let mut state = State::default();
        let made = state.create_network(Guid(1), &v2(overlay(policies)), &none);
        made.map(|_| state)
    };
    let first = route(&json!({}));
    make(&[first.clone(), other("192.0.2.2")]).unwrap();
    let refused = make(&[first.clone(), other("192.0.2.3")]).unwrap_err();
    let place = "/Policies/1/Settings/DistributedRouterMacAddress".to_owned();
    let invalid = HResult::HCN_E_INVALID_POLICY;
    assert_eq!(told(&refused), (invalid, place));

    let mut at_router = remote();
    at_router["MacAddress"] = json!("02-00-00-00-00-02");
    let mut state = make(std::slice::from_ref(&first)).unwrap();
    let mut elsewhere = at_router.clone();
    elsewhere["Policies"][0]["Settings"]["ProviderAddress"] = json!("192.0.2.3");
    let here = json!({"MacAddress": "02-00-00-00-00-02"});
    for document in [elsewhere.clone(), here] {
        let refused = state.create_endpoint(Guid(1), Guid(2), &v2(document));
        let place = "/MacAddress".to_owned();
        assert_eq!(told(&refused.unwrap_err()), (invalid, place));
    }
    (state.create_endpoint(Guid(1), Guid(2), &v2(at_router))).unwrap();
    // A route that comes later meets the card that is there.
    let mut state = make(&[]).unwrap();
    (state.create_endpoint(Guid(1), Guid(2), &v2(elsewhere))).unwrap();
    let settings = json!({"Policies": [first]});
    let request = json!({"ResourceType": "Policy", "RequestType": "Add", "Settings": settings});
    let refused = state.modify_network(Guid(1), &request.to_string());
    assert_eq!(refused.unwrap_err().hresult, invalid);
}
