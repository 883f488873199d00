//! The model against its promises: single calls with their codes and pointers, and random calls against a small model.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const V2: &str = r#"{"SchemaVersion": {"Major": 2}}"#;

fn v2(mut document: Value) -> String {
    document["SchemaVersion"] = json!({"Major": 2, "Minor": 0});
    document.to_string()
}

fn network(state: &mut State, id: u128, document: Value) -> Result<Changes, Failure> {
    state.create_network(Guid(id), &v2(document), &Surroundings::default())
}

fn asked(answer: Result<String, Failure>) -> Value {
    serde_json::from_str(&answer.unwrap()).unwrap()
}

/// A NAT network 1 with the subnet 10.0.0.0/24.
fn with_network() -> State {
    let mut state = State::default();
    let subnets = json!([{"Subnets": [{"IpAddressPrefix": "10.0.0.0/24"}]}]);
    network(&mut state, 1, json!({"Name": "nat", "Ipams": subnets})).unwrap();
    state
}

/// The call is refused with this code at this pointer, and changes nothing.
fn refuses(
    state: &State,
    code: HResult,
    pointer: &str,
    call: impl FnOnce(&mut State) -> Result<Changes, Failure>,
) {
    let mut after = state.clone();
    let failure = call(&mut after).unwrap_err();
    let found = failure
        .causes
        .first()
        .and_then(|cause| cause.pointer.as_deref());
    assert_eq!(
        (failure.hresult, found.unwrap_or_default()),
        (code, pointer),
        "{failure}"
    );
    assert!(after == *state, "a refused call changes nothing: {failure}");
}

#[test]
fn a_network_gets_what_it_leaves_open() {
    let mut state = State::default();
    let made = network(&mut state, 0xab, json!({"Name": "nat"})).unwrap();
    assert_eq!(made.written, [Object::Network(Guid(0xab))]);
    let told: Vec<_> = made
        .notifications
        .iter()
        .map(|one| one.kind as u8)
        .collect();
    assert_eq!(told, [1, 2]);
    let document = asked(state.query_network(made.id, V2));
    assert_eq!(document["ID"], "00000000-0000-0000-0000-0000000000AB");
    assert_eq!(
        document.get("Type"),
        None,
        "NAT is the default, which is left out"
    );
    let subnet = &document["Ipams"][0]["Subnets"][0];
    assert_eq!(subnet["IpAddressPrefix"], "10.231.0.0/24");
    assert_eq!(
        subnet["Routes"],
        json!([{"NextHop": "10.231.0.1", "DestinationPrefix": "0.0.0.0/0"}])
    );
    let old = asked(state.query_network(made.id, ""));
    assert_eq!(
        old["Subnets"],
        json!([{"AddressPrefix": "10.231.0.0/24", "GatewayAddress": "10.231.0.1"}])
    );
    assert_eq!(old["Type"], "NAT");
    let surroundings = Surroundings {
        routes: vec!["10.0.0.0/8".parse().unwrap()],
    };
    let made = state
        .create_network(Guid(2), &v2(json!({"Type": 6})), &surroundings)
        .unwrap();
    let document = asked(state.query_network(made.id, V2));
    assert_eq!(document["Type"], "Private", "numbers are read");
    assert_eq!(
        document["Ipams"][0]["Subnets"][0]["IpAddressPrefix"],
        "172.29.0.0/24"
    );
}

#[test]
fn networks_that_cannot_be_are_refused_by_pointer() {
    let state = with_network();
    let subnet = |prefix: &str| json!({"Ipams": [{"Subnets": [{"IpAddressPrefix": prefix}]}]});
    let prefix = "/Ipams/0/Subnets/0/IpAddressPrefix";
    for (document, code, pointer) in [
        (
            json!({"Name": "nat"}),
            HResult::HCN_E_NETWORK_ALREADY_EXISTS,
            "",
        ),
        (
            json!({"Type": "Overlay"}),
            HResult::HCN_E_REQUEST_UNSUPPORTED,
            "/Type",
        ),
        (
            json!({"Type": 5}),
            HResult::HCN_E_REQUEST_UNSUPPORTED,
            "/Type",
        ),
        (json!({"Type": "Nat"}), HResult::HCN_E_INVALID_JSON, "/Type"),
        (json!({"Type": 11}), HResult::HCN_E_INVALID_JSON, "/Type"),
        (json!({"ID": "{1}"}), HResult::HCN_E_INVALID_JSON, "/ID"),
        (
            json!({"Flags": 16}),
            HResult::HCN_E_REQUEST_UNSUPPORTED,
            "/Flags",
        ),
        (
            json!({"Flags": 1024}),
            HResult::HCN_E_REQUEST_UNSUPPORTED,
            "/Flags",
        ),
        (
            json!({"Flags": 1 << 20}),
            HResult::HCN_E_INVALID_JSON,
            "/Flags",
        ),
        (subnet("10.0.0.0"), HResult::HCN_E_INVALID_PREFIX, prefix),
        (subnet("10.1.0.1/24"), HResult::HCN_E_INVALID_PREFIX, prefix),
        (
            subnet("10.0.0.128/25"),
            HResult::HCN_E_INVALID_SUBNET,
            prefix,
        ),
        (subnet("10.1.0.0/31"), HResult::HCN_E_INVALID_SUBNET, prefix),
        (
            subnet("127.0.0.0/24"),
            HResult::HCN_E_INVALID_SUBNET,
            prefix,
        ),
        (
            json!({"Policies": [{"Type": "AutomaticDNS", "Settings": {}}, {"Type": "VxlanPort", "Settings": {}}]}),
            HResult::HCN_E_REQUEST_UNSUPPORTED,
            "/Policies/1/Type",
        ),
        (
            json!({"MacPool": {"Ranges": [{"StartMacAddress": "00-00-00-00-00-01", "EndMacAddress": "FF-00-00-00-00-00"}]}}),
            HResult::HCN_E_INVALID_JSON,
            "/MacPool/Ranges/0",
        ),
    ] {
        let text = document.to_string();
        let call = |state: &mut State| network(state, 2, document);
        println!("{text}");
        refuses(&state, code, pointer, call);
    }
    refuses(&state, HResult::HCN_E_NETWORK_ALREADY_EXISTS, "", |state| {
        network(state, 1, json!({}))
    });
    let old = r#"{"Subnets": [{"AddressPrefix": "10.1.0.0/24", "GatewayAddress": "10.2.0.1"}]}"#;
    let code = HResult::HCN_E_ADDR_INVALID_OR_RESERVED;
    refuses(&state, code, "/Subnets/0/GatewayAddress", |state| {
        state.create_network(Guid(2), old, &Surroundings::default())
    });
}

#[test]
fn an_endpoint_gets_what_it_leaves_open_and_its_addresses_come_back() {
    let mut state = with_network();
    let make = |state: &mut State, id| {
        state
            .create_endpoint(Guid(1), Guid(id), &v2(json!({})))
            .unwrap()
    };
    make(&mut state, 2);
    make(&mut state, 3);
    let address = |state: &State, id| {
        asked(state.query_endpoint(Guid(id), V2))["IpConfigurations"][0]["IpAddress"].clone()
    };
    assert_eq!(
        (address(&state, 2), address(&state, 3)),
        (json!("10.0.0.2"), json!("10.0.0.3"))
    );
    let old = asked(state.query_endpoint(Guid(3), "{}"));
    for (name, value) in [
        ("IPAddress", json!("10.0.0.3")),
        ("PrefixLength", json!(24)),
        ("GatewayAddress", json!("10.0.0.1")),
        ("VirtualNetworkName", json!("nat")),
        ("VirtualNetwork", json!(Guid(1))),
    ] {
        assert_eq!(old[name], value, "{old}");
    }
    assert!(
        old["MacAddress"].as_str().unwrap().starts_with("00-15-5D-"),
        "{old}"
    );
    state.delete_endpoint(Guid(3)).unwrap();
    make(&mut state, 4);
    assert_eq!(
        address(&state, 4),
        json!("10.0.0.4"),
        "what was just given back rests"
    );
    let gone = state.delete_network(Guid(1)).unwrap();
    assert_eq!(
        gone.removed,
        [
            Object::Endpoint(Guid(2)),
            Object::Endpoint(Guid(4)),
            Object::Network(Guid(1))
        ]
    );
    assert_eq!(state, State::default());
}

/// A port of the host that leads to port 80.
fn mapping(external: u16) -> Value {
    let settings = json!({"Protocol": 6, "InternalPort": 80, "ExternalPort": external});
    json!([{"Type": "PortMapping", "Settings": settings}])
}

/// Endpoints that cannot be beside one with the address 10.0.0.9, the card 00-15-5D-00-00-09 and the port 8080.
fn bad_endpoints() -> Vec<(Value, HResult, &'static str)> {
    let at = |address: &str| json!({"IpConfigurations": [{"IpAddress": address}]});
    let reserved = HResult::HCN_E_ADDR_INVALID_OR_RESERVED;
    let place = "/IpConfigurations/0/IpAddress";
    vec![
        (at("10.0.0.9"), reserved, place),
        (at("10.0.0.1"), reserved, place),
        (at("10.0.0.0"), reserved, place),
        (at("10.0.0.255"), reserved, place),
        (at("10.0.1.1"), HResult::HCN_E_INVALID_IP_SUBNET, place),
        (at("10.0.0"), HResult::HCN_E_INVALID_IP, place),
        (
            json!({"IpConfigurations": [{"IpAddress": "10.0.0.3", "PrefixLength": 8}]}),
            HResult::HCN_E_INVALID_PREFIX,
            "/IpConfigurations/0/PrefixLength",
        ),
        (
            json!({"MacAddress": "00-15-5D-00-00-09"}),
            HResult::HCN_E_INVALID_ENDPOINT,
            "/MacAddress",
        ),
        (
            json!({"MacAddress": "01-15-5D-00-00-09"}),
            HResult::HCN_E_INVALID_ENDPOINT,
            "/MacAddress",
        ),
        (
            json!({"Flags": 1}),
            HResult::HCN_E_REQUEST_UNSUPPORTED,
            "/Flags",
        ),
        (
            json!({"HostComputeNetwork": Guid(5)}),
            HResult::HCN_E_INVALID_JSON_REFERENCE,
            "/HostComputeNetwork",
        ),
        (
            json!({"Policies": mapping(8080)}),
            HResult::HCN_E_PORT_ALREADY_EXISTS,
            "/Policies/0/Settings/ExternalPort",
        ),
        (
            json!({"Policies": mapping(0)}),
            HResult::HCN_E_INVALID_POLICY,
            "/Policies/0/Settings/ExternalPort",
        ),
        (
            json!({"Policies": [{"Type": "ACL", "Settings": {}}]}),
            HResult::HCN_E_REQUEST_UNSUPPORTED,
            "/Policies/0/Type",
        ),
        (
            json!({"Policies": [{"Type": "PortMapping", "Settings": {"Protocol": "tcp"}}]}),
            HResult::HCN_E_INVALID_JSON,
            "/Policies/0/Settings/Protocol",
        ),
        (
            json!({"Policies": [{"Type": "InterfaceParameters", "Settings": {"Mtu": 100}}]}),
            HResult::HCN_E_INVALID_POLICY,
            "/Policies/0/Settings/Mtu",
        ),
        (
            json!({"Routes": [{"NextHop": "10.0.0.5", "DestinationPrefix": "fd00::/64"}]}),
            HResult::HCN_E_INVALID_PREFIX,
            "/Routes/0/DestinationPrefix",
        ),
    ]
}

#[test]
fn endpoints_that_cannot_be_are_refused_by_pointer() {
    let mut state = with_network();
    let first = json!({
        "IpConfigurations": [{"IpAddress": "10.0.0.9"}],
        "MacAddress": "00-15-5D-00-00-09",
        "Policies": mapping(8080),
    });
    state.create_endpoint(Guid(1), Guid(2), &v2(first)).unwrap();
    for (document, code, pointer) in bad_endpoints() {
        refuses(&state, code, pointer, |state| {
            state.create_endpoint(Guid(1), Guid(3), &v2(document))
        });
    }
    refuses(&state, HResult::HCN_E_NETWORK_NOT_FOUND, "", |state| {
        state.create_endpoint(Guid(9), Guid(3), &v2(json!({})))
    });
    let old = r#"{"IPAddress": "10.0.0.9"}"#;
    refuses(
        &state,
        HResult::HCN_E_ADDR_INVALID_OR_RESERVED,
        "/IPAddress",
        |state| state.create_endpoint(Guid(1), Guid(3), old),
    );
    network(&mut state, 4, json!({"Type": "Internal"})).unwrap();
    refuses(
        &state,
        HResult::HCN_E_MAPPING_NOT_SUPPORTED,
        "/Policies/0/Settings",
        |state| state.create_endpoint(Guid(4), Guid(3), &v2(json!({"Policies": mapping(81)}))),
    );
}

#[test]
fn documents_of_version_1_make_the_same_objects() {
    let mut state = State::default();
    let settings = r#"{"Name": "old", "Type": "ICS", "IsolateSwitch": true, "Flags": 0,
        "Subnets": [{"AddressPrefix": "10.3.0.0/16", "GatewayAddress": "10.3.0.254", "IpSubnets": []}]}"#;
    state
        .create_network(Guid(1), settings, &Surroundings::default())
        .unwrap();
    let settings = r#"{"VirtualNetwork": "{00000000-0000-0000-0000-000000000001}", "DisableICC": true, "DNSServerList": "9.9.9.9, 1.1.1.1",
        "Policies": [{"Type": "NAT", "Protocol": "UDP", "InternalPort": 53, "ExternalPort": 5353}]}"#;
    state.create_endpoint(Guid(1), Guid(2), settings).unwrap();
    let document = asked(state.query_endpoint(Guid(2), V2));
    assert_eq!(document["Flags"], 2);
    assert_eq!(document["Dns"]["ServerList"], json!(["9.9.9.9", "1.1.1.1"]));
    assert_eq!(
        document["Policies"],
        json!([{"Type": "PortMapping", "Settings": {"Protocol": 17, "InternalPort": 53, "ExternalPort": 5353}}])
    );
    let old = asked(state.query_endpoint(Guid(2), "{}"));
    assert_eq!(old["GatewayAddress"], "10.3.0.254");
    assert_eq!(old["DNSServerList"], "9.9.9.9,1.1.1.1");
    assert_eq!(old["Policies"][0]["Protocol"], "UDP");
    assert_eq!(
        asked(state.query_network(Guid(1), ""))["Subnets"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn namespaces_take_endpoints_and_containers() {
    let mut state = with_network();
    let attach = |state: &mut State, namespace, endpoint| {
        let settings = json!({"EndpointId": Guid(endpoint)});
        let request = json!({"ResourceType": "Endpoint", "RequestType": 0, "Settings": settings});
        state.modify_namespace(Guid(namespace), &request.to_string())
    };
    for id in [2, 3] {
        state
            .create_endpoint(Guid(1), Guid(id), &v2(json!({})))
            .unwrap();
    }
    for id in [10, 11] {
        state.create_namespace(Guid(id), "").unwrap();
    }
    let told = attach(&mut state, 10, 2).unwrap().notifications;
    assert_eq!(told[0].kind, NotificationType::EndpointAttached);
    attach(&mut state, 10, 3).unwrap();
    let taken = HResult::HCN_E_ENDPOINT_NAMESPACE_ALREADY_EXISTS;
    refuses(&state, taken, "/Settings/EndpointId", |state| {
        attach(state, 11, 2)
    });
    refuses(
        &state,
        HResult::HCN_E_ENDPOINT_NOT_FOUND,
        "/Settings/EndpointId",
        |state| attach(state, 11, 7),
    );
    refuses(&state, HResult::NOT_FOUND, "", |state| attach(state, 12, 2));
    let document = asked(state.query_namespace(Guid(10), V2));
    assert_eq!(document["NamespaceId"], 2);
    assert_eq!(document["Resources"].as_array().unwrap().len(), 2);
    assert_eq!(
        asked(state.query_endpoint(Guid(2), V2))["HostComputeNamespace"],
        json!(Guid(10))
    );
    state.delete_endpoint(Guid(2)).unwrap();
    assert_eq!(
        state.namespace_intent(Guid(10))[0].inner,
        "eth1",
        "no interface changes its name"
    );
    state
        .create_endpoint(Guid(1), Guid(4), &v2(json!({})))
        .unwrap();
    attach(&mut state, 10, 4).unwrap();
    let names: Vec<_> = state
        .namespace_intent(Guid(10))
        .into_iter()
        .map(|one| (one.id.0, one.inner))
        .collect();
    assert_eq!(names, [(4, "eth0".to_owned()), (3, "eth1".to_owned())]);
    let request =
        json!({"ResourceType": "Container", "Settings": {"ContainerId": "web"}}).to_string();
    state.modify_namespace(Guid(10), &request).unwrap();
    assert_eq!(state.namespace(Guid(10)).unwrap().containers(), ["web"]);
    let gone = state.delete_namespace(Guid(10)).unwrap();
    assert_eq!(gone.removed, [Object::Namespace(Guid(10))]);
    assert_eq!(state.endpoint(Guid(3)).unwrap().namespace(), None);
    assert_eq!(
        state
            .namespace(Guid(10))
            .unwrap_err()
            .hresult
            .0
            .cast_unsigned(),
        0x8007_0490
    );
}

#[test]
fn policies_of_an_endpoint_come_and_go() {
    let mut state = with_network();
    state
        .create_endpoint(Guid(1), Guid(2), &v2(json!({})))
        .unwrap();
    let policy = |external: u16| json!({"Type": "PortMapping", "Settings": {"Protocol": 6, "InternalPort": 80, "ExternalPort": external}});
    let request = |what: &str, policies: Value| {
        json!({"ResourceType": "Policy", "RequestType": what, "Settings": {"Policies": policies}})
            .to_string()
    };
    let ports = |state: &State| -> Vec<u16> {
        let terms = state.endpoint(Guid(2)).unwrap().terms();
        terms.mappings.iter().map(|one| one.external).collect()
    };
    state
        .modify_endpoint(Guid(2), &request("Add", json!([policy(1), policy(2)])))
        .unwrap();
    assert_eq!(ports(&state), [1, 2]);
    refuses(
        &state,
        HResult::HCN_E_PORT_ALREADY_EXISTS,
        "/Policies/2/Settings/ExternalPort",
        |state| state.modify_endpoint(Guid(2), &request("Add", json!([policy(2)]))),
    );
    refuses(
        &state,
        HResult::HCN_E_POLICY_NOT_FOUND,
        "/Settings/Policies/0",
        |state| state.modify_endpoint(Guid(2), &request("Remove", json!([policy(3)]))),
    );
    refuses(
        &state,
        HResult::HCN_E_REQUEST_UNSUPPORTED,
        "/Settings/Policies/0/Type",
        |state| {
            state.modify_endpoint(
                Guid(2),
                &request("Add", json!([{"Type": "QOS", "Settings": {}}])),
            )
        },
    );
    state
        .modify_endpoint(Guid(2), &request("Remove", json!([policy(1)])))
        .unwrap();
    assert_eq!(ports(&state), [2]);
    state
        .modify_endpoint(Guid(2), &request("Update", json!([policy(4)])))
        .unwrap();
    assert_eq!(ports(&state), [4]);
    state
        .modify_endpoint(Guid(2), &request("Reset", json!([])))
        .unwrap();
    assert_eq!(ports(&state), [0; 0]);
}

#[test]
fn enumerations_take_filters() {
    let mut state = with_network();
    state
        .create_endpoint(Guid(1), Guid(2), &v2(json!({"Name": "a"})))
        .unwrap();
    state
        .create_endpoint(Guid(1), Guid(3), &v2(json!({"Name": "a"})))
        .unwrap();
    let query = |filter: Value| json!({"Filter": filter.to_string()}).to_string();
    let both = json!([Guid(2), Guid(3)]);
    for (text, expected) in [
        (String::new(), both.clone()),
        ("{}".to_owned(), both.clone()),
        (json!({"Filter": ""}).to_string(), both.clone()),
        (query(json!({"Name": "a"})), both.clone()),
        (query(json!({"Name": "b"})), json!([])),
        (
            query(json!({"ID": "{00000000-0000-0000-0000-000000000003}"})),
            json!([Guid(3)]),
        ),
        (query(json!({"VirtualNetwork": Guid(1)})), both),
        (query(json!({"VirtualNetwork": Guid(2)})), json!([])),
        (query(json!({"VirtualMachine": "x"})), json!([])),
    ] {
        assert_eq!(asked(state.enumerate_endpoints(&text)), expected, "{text}");
    }
    for (text, pointer) in [
        (query(json!({"Colour": "red"})), "/Filter/Colour"),
        (r#"{"Filter": "nonsense"}"#.to_owned(), "/Filter"),
    ] {
        let failure = state.enumerate_endpoints(&text).unwrap_err();
        assert_eq!(failure.hresult, HResult::HCN_E_INVALID_JSON);
        assert_eq!(failure.causes[0].pointer.as_deref(), Some(pointer));
    }
}

#[test]
fn records_that_do_not_fit_are_left_out() {
    let mut state = with_network();
    state
        .create_endpoint(Guid(1), Guid(2), &v2(json!({})))
        .unwrap();
    let records = |state: &State| -> Vec<Record> {
        state
            .objects()
            .into_iter()
            .filter_map(|object| state.record(object))
            .collect()
    };
    let mut twice = records(&state);
    if let Record::Endpoint { document } = twice.last().unwrap().clone() {
        let document = crate::documents::HostComputeEndpoint {
            id: Some(Guid(3).to_string()),
            ..document
        };
        twice.push(Record::Endpoint { document });
    }
    let (restored, faults) = State::restore(twice);
    assert_eq!((restored == state, faults.len()), (true, 1), "{faults:?}");
    let (restored, faults) = State::restore(vec![state.record(Object::Endpoint(Guid(2))).unwrap()]);
    assert_eq!((restored, faults.len()), (State::default(), 1));
}

/// A call of a random client; ids are small numbers, so that calls meet.
#[derive(Clone, Debug)]
enum Call {
    Network(u8, u8),
    Endpoint(u8, u8, Option<u8>, Option<u8>),
    Namespace(u8),
    Attach(u8, u8, bool),
    DeleteNetwork(u8),
    DeleteEndpoint(u8),
    DeleteNamespace(u8),
}

fn call() -> impl Strategy<Value = Call> {
    let id = 0..4_u8;
    prop_oneof![
        1 => (id.clone(), 0..3_u8).prop_map(|(id, subnet)| Call::Network(id, subnet)),
        6 => (id.clone(), 0..12_u8, prop::option::of(0..9_u8), prop::option::of(1..6_u8))
            .prop_map(|(network, id, address, port)| Call::Endpoint(network, id, address, port)),
        2 => id.clone().prop_map(Call::Namespace),
        6 => (id.clone(), 0..12_u8, any::<bool>()).prop_map(|(id, endpoint, add)| Call::Attach(id, endpoint, add)),
        1 => id.clone().prop_map(Call::DeleteNetwork),
        3 => (0..12_u8).prop_map(Call::DeleteEndpoint),
        1 => id.prop_map(Call::DeleteNamespace),
    ]
}

fn nth(kind: u128, id: u8) -> Guid {
    Guid((kind << 16) | (u128::from(id) + 1))
}

/// The small model: which subnet a network has, what an endpoint is in, has and maps.
#[derive(Clone, Debug, Default)]
struct Small {
    networks: BTreeMap<u8, u8>,
    endpoints: BTreeMap<u8, SmallEndpoint>,
    namespaces: BTreeSet<u8>,
}

#[derive(Clone, Debug)]
struct SmallEndpoint {
    network: u8,
    namespace: Option<u8>,
    port: Option<u8>,
}

impl Small {
    /// Whether the call is allowed, as far as it does not depend on addresses; it is applied if so.
    fn apply(&mut self, call: &Call, done: bool) -> bool {
        let known = match call {
            Call::Network(id, subnet) => {
                !self.networks.contains_key(id)
                    && !self.networks.values().any(|other| other == subnet)
            }
            Call::Endpoint(network, id, _, port) => {
                let taken = self
                    .endpoints
                    .values()
                    .any(|other| port.is_some() && other.port == *port);
                self.networks.contains_key(network) && !self.endpoints.contains_key(id) && !taken
            }
            Call::Namespace(id) => !self.namespaces.contains(id),
            Call::Attach(id, endpoint, add) => {
                let place = self
                    .endpoints
                    .get(endpoint)
                    .map(|endpoint| endpoint.namespace);
                let wanted = if *add { None } else { Some(*id) };
                self.namespaces.contains(id) && place == Some(wanted)
            }
            Call::DeleteNetwork(id) => self.networks.contains_key(id),
            Call::DeleteEndpoint(id) => self.endpoints.contains_key(id),
            Call::DeleteNamespace(id) => self.namespaces.contains(id),
        };
        if known && done {
            self.commit(call);
        }
        known
    }

    fn commit(&mut self, call: &Call) {
        match *call {
            Call::Network(id, subnet) => drop(self.networks.insert(id, subnet)),
            Call::Endpoint(network, id, _, port) => {
                let endpoint = SmallEndpoint {
                    network,
                    namespace: None,
                    port,
                };
                self.endpoints.insert(id, endpoint);
            }
            Call::Namespace(id) => drop(self.namespaces.insert(id)),
            Call::Attach(id, endpoint, add) => {
                self.endpoints.get_mut(&endpoint).unwrap().namespace = add.then_some(id);
            }
            Call::DeleteNetwork(id) => {
                self.networks.remove(&id);
                self.endpoints.retain(|_, endpoint| endpoint.network != id);
            }
            Call::DeleteEndpoint(id) => drop(self.endpoints.remove(&id)),
            Call::DeleteNamespace(id) => {
                self.namespaces.remove(&id);
                let inside = self
                    .endpoints
                    .values_mut()
                    .filter(|one| one.namespace == Some(id));
                inside.for_each(|one| one.namespace = None);
            }
        }
    }
}

fn perform(state: &mut State, call: &Call) -> Result<Changes, Failure> {
    match call {
        Call::Network(id, subnet) => {
            let subnets =
                json!([{"Subnets": [{"IpAddressPrefix": format!("10.{subnet}.0.0/29")}]}]);
            network(state, nth(1, *id).0, json!({"Ipams": subnets}))
        }
        Call::Endpoint(network, id, address, port) => {
            let subnet = state
                .networks
                .get(&nth(1, *network))
                .map(|network| network.pools[0].prefix);
            let mut document = json!({});
            if let (Some(address), Some(subnet)) = (address, subnet) {
                let first = crate::address::number(subnet.first());
                let address =
                    crate::address::address_of(first + u128::from(*address), subnet.first());
                document["IpConfigurations"] = json!([{ "IpAddress": address }]);
            }
            if let Some(port) = port {
                let settings = json!({"Protocol": 17, "InternalPort": 80, "ExternalPort": port});
                document["Policies"] = json!([{"Type": "PortMapping", "Settings": settings}]);
            }
            state.create_endpoint(nth(1, *network), nth(2, *id), &v2(document))
        }
        Call::Namespace(id) => state.create_namespace(nth(3, *id), V2),
        Call::Attach(id, endpoint, add) => {
            let what = if *add { "Add" } else { "Remove" };
            let settings = json!({"EndpointId": nth(2, *endpoint)});
            let request =
                json!({"ResourceType": "Endpoint", "RequestType": what, "Settings": settings});
            state.modify_namespace(nth(3, *id), &request.to_string())
        }
        Call::DeleteNetwork(id) => state.delete_network(nth(1, *id)),
        Call::DeleteEndpoint(id) => state.delete_endpoint(nth(2, *id)),
        Call::DeleteNamespace(id) => state.delete_namespace(nth(3, *id)),
    }
}

/// What holds of every state, however it came about.
fn hold(state: &State, small: &Small) {
    let ids = |kind: u128, ids: Vec<u8>| -> Vec<Guid> {
        ids.into_iter().map(|id| nth(kind, id)).collect()
    };
    let networks: Vec<Guid> = state.networks.keys().copied().collect();
    assert_eq!(networks, ids(1, small.networks.keys().copied().collect()));
    let endpoints: Vec<Guid> = state.endpoints.keys().copied().collect();
    assert_eq!(endpoints, ids(2, small.endpoints.keys().copied().collect()));
    let mut places = BTreeSet::new();
    for (id, expected) in &small.endpoints {
        let endpoint = &state.endpoints[&nth(2, *id)];
        let namespace = expected.namespace.map(|namespace| nth(3, namespace));
        assert_eq!(endpoint.namespace, namespace);
        assert_eq!(endpoint.network, nth(1, expected.network));
        let network = &state.networks[&endpoint.network];
        for lease in &endpoint.leases {
            assert!(
                network
                    .pool_of(lease.address)
                    .unwrap()
                    .allows(lease.address)
            );
            assert!(
                places.insert(lease.address.to_string()),
                "{} is given twice",
                lease.address
            );
        }
        assert!(places.insert(format!("{} {}", endpoint.network, endpoint.mac)));
        let listed = state
            .namespaces
            .values()
            .filter(|one| one.place(nth(2, *id)).is_some())
            .count();
        assert_eq!(listed, usize::from(namespace.is_some()));
    }
    let attached = small
        .endpoints
        .values()
        .filter(|one| one.namespace.is_some())
        .count();
    assert_eq!(state.intent().endpoints.len(), attached);
}

proptest! {
    #[test]
    fn random_calls_keep_to_the_small_model(calls in prop::collection::vec(call(), 1..60)) {
        let (mut state, mut small) = (State::default(), Small::default());
        let mut files: BTreeMap<Object, Record> = BTreeMap::new();
        for call in calls {
            let before = state.clone();
            let done = perform(&mut state, &call);
            let known = small.apply(&call, done.is_ok());
            match done {
                Ok(changes) => {
                    prop_assert!(known, "{call:?} was done");
                    for object in changes.written {
                        files.insert(object, state.record(object).unwrap());
                    }
                    for object in changes.removed {
                        prop_assert!(files.remove(&object).is_some(), "{object:?} was removed twice");
                    }
                }
                Err(failure) => {
                    prop_assert!(state == before, "a refused call changes nothing: {failure}");
                    // Only addresses can refuse what the small model allows.
                    let address = failure.hresult == HResult::HCN_E_ADDR_INVALID_OR_RESERVED
                        || failure.hresult == HResult::HCN_E_INVALID_IP_SUBNET;
                    prop_assert!(!known || address, "{call:?}: {failure}");
                }
            }
            hold(&state, &small);
            let written: BTreeSet<Object> = files.keys().copied().collect();
            prop_assert_eq!(written, state.objects().into_iter().collect::<BTreeSet<_>>());
            let text: Vec<String> = files.values().map(|file| serde_json::to_string(file).unwrap()).collect();
            let read: Vec<Record> = text.iter().map(|file| serde_json::from_str(file).unwrap()).collect();
            let (restored, faults) = State::restore(read);
            prop_assert!(faults.is_empty(), "{faults:?}");
            prop_assert_eq!(&restored, &state);
        }
    }

    #[test]
    fn no_text_of_a_client_ends_the_service(text in ".{0,200}", id in any::<u128>()) {
        let mut state = with_network();
        let _refused = state.create_network(Guid(id), &text, &Surroundings::default());
        let _refused = state.create_endpoint(Guid(1), Guid(id), &text);
        let _refused = state.create_namespace(Guid(id), &text);
        let _refused = state.modify_network(Guid(1), &text);
        let _refused = state.query_network(Guid(1), &text);
        let _refused = state.enumerate_endpoints(&text);
    }
}
