//! Policies of type SDNRoute: what is kept, what is refused.

use serde_json::{Value, json};

use super::{
    tests::{network, refuses, v2},
    *,
};

/// A network of both families with the endpoint 2, which has a policy for each of `settings`.
fn with(settings: &[Value]) -> (State, Result<Changes, Failure>) {
    let mut state = State::default();
    let subnets = json!([{"Subnets": [{"IpAddressPrefix": "10.0.0.0/24"}, {"IpAddressPrefix": "fd00::/64"}]}]);
    network(&mut state, 1, json!({ "Ipams": subnets })).unwrap();
    let made = create(&mut state, settings);
    (state, made)
}

fn create(state: &mut State, settings: &[Value]) -> Result<Changes, Failure> {
    let policies = settings.iter().map(policy).collect::<Vec<_>>();
    let addresses = json!([{"IpAddress": "10.0.0.5"}, {"IpAddress": "fd00::5"}]);
    let document = json!({ "Policies": policies, "IpConfigurations": addresses });
    state.create_endpoint(Guid(1), Guid(2), &v2(document))
}

fn policy(settings: &Value) -> Value {
    json!({ "Type": "SDNRoute", "Settings": settings })
}

fn route(to: &str, router: &str) -> Value {
    json!({ "DestinationPrefix": to, "NextHop": router })
}

fn modify(state: &mut State, what: &str, settings: &[Value]) -> Result<Changes, Failure> {
    let policies = settings.iter().map(policy).collect::<Vec<_>>();
    let request = json!({
        "ResourceType": "Policy", "RequestType": what, "Settings": { "Policies": policies },
    });
    state.modify_endpoint(Guid(2), &request.to_string())
}

/// The routes that the kernel is asked for, as text, once the endpoint is in a namespace.
fn asked_for(state: &State) -> Vec<String> {
    let mut state = state.clone();
    let resources = json!([{"Type": "Endpoint", "Data": {"Id": Guid(2)}}]);
    let namespace = json!({ "Resources": resources }).to_string();
    state.create_namespace(Guid(9), &namespace).unwrap();
    let routes = state.endpoint_intent(Guid(2)).unwrap().led_routes;
    let text = |(to, router, metric): (Prefix, _, u32)| format!("{to} by {router}, {metric}");
    routes.into_iter().map(text).collect()
}

#[test]
fn routes_of_policies_come_and_go_with_these() {
    let first = route("192.0.2.0/24", "10.0.0.9");
    let (mut state, made) = with(std::slice::from_ref(&first));
    made.unwrap();
    assert_eq!(asked_for(&state), ["192.0.2.0/24 by 10.0.0.9, 0"]);
    let six = json!({
        "DestinationPrefix": "2001:db8::/32", "NextHop": "fd00::9", "NeedEncap": false, "AutomaticEndpointMonitor": false,
    });
    modify(&mut state, "Add", std::slice::from_ref(&six)).unwrap();
    let both = [
        "192.0.2.0/24 by 10.0.0.9, 0",
        "2001:db8::/32 by fd00::9, 4194304",
    ];
    assert_eq!(asked_for(&state), both);
    let records = state
        .objects()
        .into_iter()
        .filter_map(|one| state.record(one));
    assert_eq!(State::restore(records.collect()).0, state);
    modify(&mut state, "Remove", &[first]).unwrap();
    assert_eq!(asked_for(&state), both[1..]);
    let other = route("192.0.2.128/25", "10.0.0.8");
    modify(&mut state, "Update", &[other]).unwrap();
    assert_eq!(asked_for(&state), ["192.0.2.128/25 by 10.0.0.8, 0"]);
    modify(&mut state, "Reset", &[]).unwrap();
    assert_eq!(asked_for(&state), [""; 0]);
}

/// The network alone.
fn empty() -> State {
    let (mut state, _) = with(&[]);
    state.delete_endpoint(Guid(2)).unwrap();
    state
}

#[test]
fn routes_that_cannot_be_are_refused_by_pointer() {
    const TO: &str = "192.0.2.0/24";
    let state = empty();
    let unsupported = HResult::HCN_E_REQUEST_UNSUPPORTED;
    let asks = |name: &str| {
        let mut settings = route(TO, "10.0.0.9");
        settings[name] = json!(true);
        (settings, unsupported, name.to_owned())
    };
    let next_hop = |router: &str, code: HResult| (route(TO, router), code, "NextHop".to_owned());
    let to = |to: &str, code: HResult| {
        let name = "DestinationPrefix".to_owned();
        (route(to, "10.0.0.9"), code, name)
    };
    for (settings, code, name) in [
        next_hop("", HResult::HCN_E_INVALID_IP),
        next_hop("router", HResult::HCN_E_INVALID_IP),
        next_hop("10.0.0.5", HResult::HCN_E_INVALID_IP),
        next_hop("192.0.2.1", HResult::HCN_E_INVALID_IP_SUBNET),
        to("", HResult::HCN_E_INVALID_PREFIX),
        to("192.0.2.1/24", HResult::HCN_E_INVALID_PREFIX),
        to("2001:db8::/32", HResult::HCN_E_INVALID_PREFIX),
        to("10.0.0.0/24", HResult::HCN_E_INVALID_PREFIX),
        // The network gives the endpoint that.
        to("0.0.0.0/0", HResult::HCN_E_POLICY_ALREADY_EXISTS),
        asks("NeedEncap"),
        asks("AutomaticEndpointMonitor"),
    ] {
        let pointer = format!("/Policies/0/Settings/{name}");
        refuses(&state, code, &pointer, |state| create(state, &[settings]));
    }
}

#[test]
fn routes_that_cannot_be_beside_others_are_refused_by_pointer() {
    let state = empty();
    let two = ["10.0.0.9", "10.0.0.8"].map(|router| route("192.0.2.0/24", router));
    let (code, pointer) = (
        HResult::HCN_E_POLICY_ALREADY_EXISTS,
        "/Policies/1/Settings/DestinationPrefix",
    );
    refuses(&state, code, pointer, |state| create(state, &two));
    let to = |at: u32| format!("172.16.{}.{}/31", at / 128, at % 128 * 2);
    let many: Vec<Value> = (0..257).map(|at| route(&to(at), "10.0.0.9")).collect();
    let (code, pointer) = (HResult::HCN_E_INVALID_POLICY, "/Policies/256/Settings");
    refuses(&state, code, pointer, |state| create(state, &many));
    // Of an endpoint without an address of IPv6 nothing of that leaves.
    let only_4 = |state: &mut State| {
        let policy = policy(&route("2001:db8::/32", "fd00::9"));
        let document = json!({
            "Policies": [policy], "IpConfigurations": [{"IpAddress": "10.0.0.5"}],
        });
        state.create_endpoint(Guid(1), Guid(2), &v2(document))
    };
    let (code, pointer) = (HResult::HCN_E_INVALID_IP, "/Policies/0/Settings/NextHop");
    refuses(&state, code, pointer, only_4);
}
