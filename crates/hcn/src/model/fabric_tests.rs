//! Networks on adapters of the host, as the model knows them.

use serde_json::{Value, json};

use super::*;
use hcs_schema::HResult;

fn v2(mut document: Value) -> String {
    document["SchemaVersion"] = json!({"Major": 2, "Minor": 0});
    document.to_string()
}

fn policy(kind: &str, settings: &Value) -> Value {
    json!({"Type": kind, "Settings": settings})
}

fn adapter(name: &str) -> Value {
    policy("NetAdapterName", &json!({ "NetworkAdapterName": name }))
}

fn ipams(prefix: &str, router: Option<&str>) -> Value {
    let routes: Vec<Value> = router
        .map(|router| json!({"NextHop": router, "DestinationPrefix": "0.0.0.0/0"}))
        .into_iter()
        .collect();
    json!([{"Subnets": [{"IpAddressPrefix": prefix, "Routes": routes}]}])
}

fn refused(document: Value) -> (HResult, String) {
    let made = State::default().create_network(Guid(1), &v2(document), &Surroundings::default());
    let failure = made.unwrap_err();
    let pointer = failure
        .causes
        .first()
        .and_then(|cause| cause.pointer.clone());
    (failure.hresult, pointer.unwrap_or_default())
}

#[test]
fn an_endpoint_is_on_the_adapter_of_its_network_and_leaves_by_its_router() {
    // The host has a route to the network of its adapter.
    let surroundings = Surroundings {
        routes: vec!["192.0.2.0/24".parse().unwrap()],
        ..Surroundings::default()
    };
    let alias = policy("InterfaceConstraint", &json!({"InterfaceAlias": "eno1"}));
    for (kind, policy) in [("Transparent", adapter("eno1")), ("L2Bridge", alias)] {
        let mut state = State::default();
        let document = json!({
            "Type": kind, "Policies": [policy], "Ipams": ipams("192.0.2.0/24", Some("192.0.2.254")),
        });
        state
            .create_network(Guid(1), &v2(document), &surroundings)
            .unwrap();
        state
            .create_endpoint(Guid(1), Guid(2), &v2(json!({})))
            .unwrap();
        let resources = json!([{"Type": "Endpoint", "Data": {"Id": Guid(2)}}]);
        let settings = json!({ "Resources": resources }).to_string();
        state.create_namespace(Guid(3), &settings).unwrap();
        let intent = state.intent();
        let (network, endpoint) = (&intent.networks[0], &intent.endpoints[0]);
        assert_eq!(network.adapter.as_deref(), Some("eno1"));
        assert!(
            network.addresses.is_empty() && !network.translated,
            "the host is not in it by us"
        );
        assert_eq!(endpoint.adapter.as_deref(), Some("eno1"));
        assert_eq!(endpoint.addresses, [("192.0.2.1".parse().unwrap(), 24)]);
        assert_eq!(endpoint.routes[0].1.to_string(), "192.0.2.254");
        let records = state
            .objects()
            .into_iter()
            .filter_map(|object| state.record(object));
        let (restored, faults) = State::restore(records.collect());
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(restored, state);
    }
    // Without a router none is made up: the first address may be that of another machine.
    let mut state = State::default();
    let document = json!({
        "Type": "Transparent", "Policies": [adapter("eno1")], "Ipams": ipams("192.0.2.0/24", None),
    });
    state
        .create_network(Guid(1), &v2(document), &surroundings)
        .unwrap();
    state
        .create_endpoint(Guid(1), Guid(2), &v2(json!({})))
        .unwrap();
    assert!(state.endpoint(Guid(2)).unwrap().terms().routes.is_empty());
}

#[test]
fn a_network_that_can_be_on_no_adapter_is_refused_by_pointer() {
    let subnet = || ipams("192.0.2.0/24", None);
    let on =
        |policies: Value| json!({"Type": "Transparent", "Policies": policies, "Ipams": subnet()});
    let missing = HResult::HCN_E_ADAPTER_NOT_FOUND;
    let constraint = |settings: Value| on(json!([policy("InterfaceConstraint", &settings)]));
    for (document, code, pointer) in [
        (on(json!([])), missing, "/Policies"),
        (
            on(json!([adapter("")])),
            missing,
            "/Policies/0/Settings/NetworkAdapterName",
        ),
        (
            on(json!([adapter("../eth0")])),
            missing,
            "/Policies/0/Settings/NetworkAdapterName",
        ),
        (
            on(json!([adapter("a-name-too-long-for")])),
            missing,
            "/Policies/0/Settings/NetworkAdapterName",
        ),
        (
            on(json!([adapter("eth0"), adapter("eth1")])),
            HResult::HCN_E_INVALID_POLICY,
            "/Policies/1/Settings",
        ),
        (
            constraint(json!({"InterfaceIndex": 7})),
            HResult::HCN_E_REQUEST_UNSUPPORTED,
            "/Policies/0/Settings/InterfaceIndex",
        ),
        (
            constraint(json!({"InterfaceGuid": Guid(7)})),
            HResult::HCN_E_REQUEST_UNSUPPORTED,
            "/Policies/0/Settings/InterfaceGuid",
        ),
        (
            json!({"Type": "NAT", "Policies": [adapter("eth0")]}),
            HResult::HCN_E_INVALID_POLICY,
            "/Policies/0/Settings/NetworkAdapterName",
        ),
        (
            json!({"Type": "Transparent", "Policies": [adapter("eth0")]}),
            HResult::HCN_E_INVALID_SUBNET,
            "/Ipams",
        ),
    ] {
        assert_eq!(
            refused(document.clone()),
            (code, pointer.to_owned()),
            "{document}"
        );
    }
}

#[test]
fn a_network_without_an_adapter_is_told_which_ones_there_are() {
    let document = v2(json!({"Type": "L2Bridge", "Ipams": ipams("192.0.2.0/24", None)}));
    for (count, named) in [
        (0, "\"ip link\" lists those there are"),
        (1, "there are up0"),
        (
            10,
            "there are up0, up1, up2, up3, up4, up5, up6, up7 and 2 more",
        ),
    ] {
        let surroundings = Surroundings {
            adapters: (0..count).map(|at| format!("up{at}")).collect(),
            ..Surroundings::default()
        };
        let made = State::default().create_network(Guid(1), &document, &surroundings);
        let failure = made.unwrap_err();
        assert_eq!(failure.hresult, HResult::HCN_E_ADAPTER_NOT_FOUND);
        assert!(failure.message.ends_with(named), "{failure}");
    }
}

#[test]
fn a_network_stays_on_its_adapter() {
    let mut state = State::default();
    let document = json!({
        "Type": "Transparent", "Policies": [adapter("eth0")], "Ipams": ipams("192.0.2.0/24", None),
    });
    state
        .create_network(Guid(1), &v2(document), &Surroundings::default())
        .unwrap();
    let before = state.clone();
    for (what, policy) in [("Update", adapter("eth1")), ("Remove", adapter("eth0"))] {
        let request = json!({"ResourceType": "Policy", "RequestType": what, "Settings": {"Policies": [policy]}});
        state
            .modify_network(Guid(1), &request.to_string())
            .unwrap_err();
        assert_eq!(state, before, "{what}");
    }
    let endpoint = json!({"Policies": [{
        "Type": "PortMapping", "Settings": {"Protocol": 6, "InternalPort": 80, "ExternalPort": 80},
    }]});
    let refused = state
        .create_endpoint(Guid(1), Guid(2), &v2(endpoint))
        .unwrap_err();
    assert_eq!(refused.hresult, HResult::HCN_E_MAPPING_NOT_SUPPORTED);
}

#[test]
fn version_1_names_the_adapter_in_a_property_of_its_own() {
    let mut state = State::default();
    let document = json!({
        "Type": "Transparent", "NetworkAdapterName": "eth0", "Subnets": [{"AddressPrefix": "192.0.2.0/24"}],
    });
    let surroundings = Surroundings::default();
    state
        .create_network(Guid(1), &document.to_string(), &surroundings)
        .unwrap();
    assert_eq!(state.intent().networks[0].adapter.as_deref(), Some("eth0"));
    let told: Value = serde_json::from_str(&state.query_network(Guid(1), "").unwrap()).unwrap();
    assert_eq!(told["NetworkAdapterName"], "eth0");
}
