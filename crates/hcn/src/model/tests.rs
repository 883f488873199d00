//! Single calls of the model, with their codes and pointers.

use serde_json::{Value, json};

use super::*;

pub(super) const V2: &str = r#"{"SchemaVersion": {"Major": 2}}"#;

pub(super) fn v2(mut document: Value) -> String {
    document["SchemaVersion"] = json!({"Major": 2, "Minor": 0});
    document.to_string()
}

pub(super) fn network(state: &mut State, id: u128, document: Value) -> Result<Changes, Failure> {
    state.create_network(Guid(id), &v2(document), &Surroundings::default())
}

pub(super) fn asked(answer: Result<String, Failure>) -> Value {
    serde_json::from_str(&answer.unwrap()).unwrap()
}

/// A NAT network 1 with the subnet 10.0.0.0/24.
pub(super) fn with_network() -> State {
    let mut state = State::default();
    let subnets = json!([{"Subnets": [{"IpAddressPrefix": "10.0.0.0/24"}]}]);
    network(&mut state, 1, json!({"Name": "nat", "Ipams": subnets})).unwrap();
    state
}

/// The call is refused with this code at this pointer, and changes nothing.
pub(super) fn refuses(
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
        ..Surroundings::default()
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
fn subnets_whose_addresses_no_host_can_have_are_refused() {
    for prefix in [
        "0.1.0.0/16",
        "127.0.0.0/24",
        "169.254.7.0/24",
        "240.0.0.0/8",
        "64.0.0.0/2",
        "fe80::/64",
        "ff02::/64",
    ] {
        let subnets = json!({"Ipams": [{"Subnets": [{"IpAddressPrefix": prefix}]}]});
        let call = |state: &mut State| network(state, 2, subnets);
        let pointer = "/Ipams/0/Subnets/0/IpAddressPrefix";
        refuses(
            &with_network(),
            HResult::HCN_E_INVALID_SUBNET,
            pointer,
            call,
        );
    }
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
            json!({"Type": "L2Tunnel"}),
            HResult::HCN_E_INVALID_NETWORK_TYPE,
            "/Type",
        ),
        (
            json!({"Type": 4}),
            HResult::HCN_E_INVALID_NETWORK_TYPE,
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
            json!({"Policies": [{"Type": "AutomaticDNS", "Settings": {}}, {"Type": "VSwitchExtension", "Settings": {}}]}),
            HResult::HCN_E_INVALID_POLICY_TYPE,
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
fn long_names_and_two_types_that_are_not_there_are_refused() {
    let state = with_network();
    for (document, code, pointer) in [
        (
            json!({"Type": "L2Tunnel", "Policies": [{"Type": "VSwitchExtension", "Settings": {}}]}),
            HResult::HCN_E_REQUEST_UNSUPPORTED,
            "/Policies/0/Type",
        ),
        (
            json!({"Name": "n".repeat(257)}),
            HResult::E_INVALIDARG,
            "/Name",
        ),
        (
            json!({"Owner": "o".repeat(257)}),
            HResult::E_INVALIDARG,
            "/Owner",
        ),
    ] {
        let given = v2(document);
        refuses(&state, code, pointer, |state| {
            state.create_network(Guid(2), &given, &Surroundings::default())
        });
    }
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
pub(super) fn mapping(external: u16) -> Value {
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
            HResult::HCN_E_INVALID_REMOTE_ENDPOINT_OPERATION,
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
            json!({"Policies": [{"Type": "VLAN", "Settings": {}}]}),
            HResult::HCN_E_INVALID_POLICY_TYPE,
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
fn what_version_1_asks_for_is_honoured_or_refused() {
    let mut state = with_network();
    for (settings, pointer) in [
        (json!({"Policies": [{"Type": "ACL"}]}), "/Policies/0/Type"),
        (
            json!({"Policies": [{"Type": "NAT", "Protocol": "TCP", "InternalPort": 80}]}),
            "/Policies/0",
        ),
        (json!({"Namespace": {"ID": Guid(5)}}), "/Namespace"),
        (json!({"EnableLowMetric": true}), "/EnableLowMetric"),
        (json!({"IsRemoteEndpoint": true}), "/IsRemoteEndpoint"),
        (json!({"EnableInternalDNS": true}), "/EnableInternalDNS"),
    ] {
        let text = settings.to_string();
        let failure = state.create_endpoint(Guid(1), Guid(2), &text).unwrap_err();
        assert_eq!(
            failure.causes[0].pointer.as_deref(),
            Some(pointer),
            "{text}"
        );
    }
    for (settings, pointer) in [
        (json!({"NetworkAdapterName": "eth0"}), "/NetworkAdapterName"),
        (json!({"SourceMac": "00-15-5D-00-00-01"}), "/SourceMac"),
        (json!({"Policies": [{"Type": "VLAN"}]}), "/Policies"),
        (
            json!({"Subnets": [{"AddressPrefix": "10.4.0.0/24", "Policies": [{}]}]}),
            "/Subnets/0/Policies",
        ),
        (json!({"Type": "L2Tunnel"}), "/Type"),
    ] {
        let text = settings.to_string();
        let made = state.create_network(Guid(2), &text, &Surroundings::default());
        assert_eq!(
            made.unwrap_err().causes[0].pointer.as_deref(),
            Some(pointer),
            "{text}"
        );
    }
    let settings = r#"{"EncapOverhead": 50, "DNSDomain": "example.org"}"#;
    state.create_endpoint(Guid(1), Guid(2), settings).unwrap();
    assert_eq!(state.endpoint(Guid(2)).unwrap().terms().mtu, Some(1450));
    assert_eq!(
        asked(state.query_endpoint(Guid(2), V2))["Dns"]["Domain"],
        "example.org"
    );
}

#[test]
fn the_default_switch_is_there_without_being_made() {
    let mut state = State::default();
    let here = Surroundings::default();
    let made = state.ensure_default_switch(&here).unwrap().unwrap();
    assert_eq!(made.id.to_string(), "C08CB7B8-9B3C-408E-8E30-5E16A3AEB444");
    let document = asked(state.query_network(made.id, ""));
    assert_eq!(
        (&document["Type"], &document["Name"]),
        (&json!("ICS"), &json!("Default Switch"))
    );
    assert_eq!(state.ensure_default_switch(&here).unwrap(), None);
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
    let metrics: Vec<_> = state
        .namespace_intent(Guid(10))
        .iter()
        .map(|one| one.routes[0].2)
        .collect();
    assert_eq!(
        metrics,
        [0, 1],
        "no route replaces that of another interface"
    );
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
fn networks_take_servers_and_policies_for_their_new_endpoints() {
    let mut state = with_network();
    let request = |resource: &str, what: &str, settings: Value| {
        json!({"ResourceType": resource, "RequestType": what, "Settings": settings}).to_string()
    };
    let dns = json!({"ServerList": ["9.9.9.9"]});
    state
        .modify_network(Guid(1), &request("DNS", "Update", dns))
        .unwrap();
    state
        .create_endpoint(Guid(1), Guid(2), &v2(json!({})))
        .unwrap();
    assert_eq!(
        asked(state.query_endpoint(Guid(2), V2))["Dns"]["ServerList"],
        json!(["9.9.9.9"])
    );
    let automatic = json!({"Policies": [{"Type": "AutomaticDNS", "Settings": {"Enable": true}}]});
    state
        .modify_network(Guid(1), &request("Policy", "Add", automatic.clone()))
        .unwrap();
    assert_eq!(
        asked(state.query_network(Guid(1), V2))["Policies"],
        automatic["Policies"]
    );
    state
        .modify_network(Guid(1), &request("Policy", "Remove", automatic))
        .unwrap();
    assert_eq!(
        asked(state.query_network(Guid(1), V2))["Policies"],
        json!([])
    );
    let unsupported = HResult::HCN_E_REQUEST_UNSUPPORTED;
    for (text, code, pointer) in [
        (
            request("Subnet", "Add", json!({})),
            unsupported,
            "/ResourceType",
        ),
        (
            request("Extension", "Add", json!({})),
            unsupported,
            "/ResourceType",
        ),
        (
            json!({"Settings": {}}).to_string(),
            HResult::HCN_E_INVALID_JSON,
            "",
        ),
        (
            request("DNS", "Burn", json!({})),
            HResult::HCN_E_INVALID_JSON,
            "/RequestType",
        ),
        (
            request("DNS", "Add", json!({"Colour": 1})),
            HResult::HCN_E_INVALID_JSON,
            "/Settings/Colour",
        ),
    ] {
        refuses(&state, code, pointer, |state| {
            state.modify_network(Guid(1), &text)
        });
    }
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
        HResult::HCN_E_INVALID_POLICY_TYPE,
        "/Settings/Policies/0/Type",
        |state| {
            state.modify_endpoint(
                Guid(2),
                &request("Add", json!([{"Type": "VLAN", "Settings": {}}])),
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
