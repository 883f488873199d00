//! What is bounded, and what two objects cannot share.

use std::{net::IpAddr, sync::Arc};

use serde_json::{Value, json};

use super::{
    tests::{network, v2, with_network},
    *,
};
use crate::intent::{bridge_name, port_name};

/// The code and the pointer of a refusal.
fn refusal(result: Result<Changes, Failure>) -> (HResult, String) {
    let failure = result.unwrap_err();
    let pointer = failure
        .causes
        .first()
        .and_then(|cause| cause.pointer.clone());
    (failure.hresult, pointer.unwrap_or_default())
}

fn endpoint(state: &mut State, id: u128, document: Value) -> Result<Changes, Failure> {
    state.create_endpoint(Guid(1), Guid(id), &v2(document))
}

fn mapping(external: usize) -> Value {
    json!({"Type": "PortMapping", "Settings": {"Protocol": 6, "InternalPort": 80, "ExternalPort": external}})
}

#[test]
fn ids_that_only_count_up_have_names_of_their_own() {
    let ids = (0..4096).flat_map(|low| [Guid(low), Guid(low << 64), Guid(low << 96)]);
    let distinct: std::collections::BTreeSet<Guid> = ids.collect();
    let names: std::collections::BTreeSet<String> =
        distinct.iter().map(|id| bridge_name(*id)).collect();
    // The same number in either half of an id is one name: only these can meet, and a model refuses them.
    assert_eq!(names.len(), 2 * 4096 - 1);
    assert!(names.iter().all(|name| name.len() == 15));
}

#[test]
fn an_id_whose_links_would_have_the_names_of_anothers_is_refused() {
    let (one, other) = (Guid(7), Guid(7 << 64));
    assert_eq!(port_name(one), port_name(other));
    let mut state = with_network();
    let wanted = (HResult::E_INVALIDARG, "/ID".to_owned());
    network(&mut state, one.0, json!({"Name": "one"})).unwrap();
    let refused = network(&mut state, other.0, json!({"Name": "other"}));
    assert_eq!(refusal(refused), wanted);
    endpoint(&mut state, one.0, json!({})).unwrap();
    assert_eq!(refusal(endpoint(&mut state, other.0, json!({}))), wanted);

    // Nor do records bring both back.
    let mut records: Vec<Record> = state
        .objects()
        .into_iter()
        .filter_map(|object| state.record(object))
        .collect();
    for record in records.clone() {
        match record {
            Record::Network {
                mut document, macs, ..
            } if document.id == Some(one.to_string()) => {
                document.id = Some(other.to_string());
                records.push(Record::Network {
                    document,
                    pools: Vec::new(),
                    macs,
                });
            }
            Record::Endpoint { mut document } => {
                document.id = Some(other.to_string());
                document.mac_address = Some("00-15-5D-00-00-99".to_owned());
                document.ip_configurations = None;
                records.push(Record::Endpoint { document });
            }
            _ => {}
        }
    }
    let (restored, faults) = State::restore(records);
    assert!(restored == state);
    assert_eq!(faults.len(), 2, "{faults:?}");
}

#[test]
fn one_address_is_restored_once_whatever_its_prefix() {
    let mut state = with_network();
    let configurations = json!([{"IpAddress": "10.0.0.9", "PrefixLength": 24}]);
    endpoint(&mut state, 2, json!({"IpConfigurations": configurations})).unwrap();
    let mut records: Vec<Record> = state
        .objects()
        .into_iter()
        .filter_map(|object| state.record(object))
        .collect();
    let Some(Record::Endpoint { mut document }) = state.record(Object::Endpoint(Guid(2))) else {
        unreachable!("the endpoint has a record");
    };
    document.id = Some(Guid(3).to_string());
    document.mac_address = Some("00-15-5D-00-00-99".to_owned());
    if let Some(lease) = document.ip_configurations.iter_mut().flatten().next() {
        lease.prefix_length = Some(32);
    }
    records.push(Record::Endpoint {
        document: document.clone(),
    });
    let (restored, faults) = State::restore(records.clone());
    assert!(restored == state);
    assert_eq!(faults.len(), 1);

    // Nor twice in one record.
    records.truncate(1);
    if let Some(all) = &mut document.ip_configurations {
        let mut again = all.clone();
        again[0].prefix_length = Some(24);
        all.extend(again);
    }
    records.push(Record::Endpoint { document });
    let (restored, faults) = State::restore(records);
    assert_eq!((restored.endpoints.len(), faults.len()), (0, 1));
}

#[test]
fn packets_are_large_enough_for_ipv6_where_the_network_has_it() {
    let mut state = with_network();
    let of =
        |mtu: u32| json!({"Policies": [{"Type": "InterfaceParameters", "Settings": {"Mtu": mtu}}]});
    endpoint(&mut state, 2, of(576)).unwrap();
    let subnets = json!([{"Subnets": [{"IpAddressPrefix": "10.1.0.0/24"}, {"IpAddressPrefix": "fd00::/64"}]}]);
    network(&mut state, 3, json!({"Ipams": subnets})).unwrap();
    // One of IPv4 only has them, too: it shares the bridge with others.
    for mut document in [of(1279), of(576)] {
        document["IpConfigurations"] = json!([{"IpAddress": "10.1.0.9"}]);
        let refused = state.create_endpoint(Guid(3), Guid(4), &v2(document));
        let place = "/Policies/0/Settings/Mtu".to_owned();
        assert_eq!(refusal(refused), (HResult::HCN_E_INVALID_POLICY, place));
    }
    state
        .create_endpoint(Guid(3), Guid(4), &v2(of(1280)))
        .unwrap();
    let request = json!({"ResourceType": "Policy", "RequestType": "Update", "Settings": of(1000)});
    let refused = state.modify_endpoint(Guid(4), &request.to_string());
    assert_eq!(refusal(refused).0, HResult::HCN_E_INVALID_POLICY);
}

#[test]
fn a_translated_network_leads_to_the_outside_by_ipv4_alone() {
    let mut state = State::default();
    let subnets = json!([{"Subnets": [{"IpAddressPrefix": "10.1.0.0/24"}, {"IpAddressPrefix": "fd00::/64"}]}]);
    network(&mut state, 1, json!({"Ipams": subnets})).unwrap();
    let both = json!({"IpConfigurations": [{"IpAddress": "10.1.0.9"}, {"IpAddress": "fd00::9"}]});
    endpoint(&mut state, 2, both).unwrap();
    let objects = state.objects().into_iter();
    let records = objects.filter_map(|object| state.record(object)).collect();
    let (state, faults) = State::restore(records);
    assert!(faults.is_empty(), "{faults:?}");
    let network = &state.networks[&Guid(1)];
    let gateways: Vec<_> = network.pools().iter().map(|pool| pool.gateway).collect();
    let expected: [Option<IpAddr>; 2] = ["10.1.0.1", "fd00::1"].map(|text| text.parse().ok());
    assert_eq!(gateways, expected, "the host has its addresses in both");
    let subnets = network.document().ipams.iter().flatten();
    let subnets = subnets.flat_map(|ipam| ipam.subnets.iter().flatten());
    let routes: Vec<usize> = subnets
        .map(|subnet| subnet.routes.iter().flatten().count())
        .collect();
    assert_eq!(routes, [1, 0]);
    let document = &state.endpoints[&Guid(2)].document;
    assert_eq!(document.ip_configurations.as_ref().unwrap().len(), 2);
    let routes = document.routes.as_deref().unwrap();
    assert_eq!(routes.len(), 1);
    assert_eq!(routes[0].destination_prefix.as_deref(), Some("0.0.0.0/0"));
}

#[test]
fn subnets_are_bounded() {
    let mut state = State::default();
    let subnets = |count: usize| {
        let all = (0..count).map(|at| json!({"IpAddressPrefix": format!("10.9.{at}.0/24")}));
        json!({"Ipams": [{"Subnets": all.collect::<Vec<_>>()}]})
    };
    let refused = network(&mut state, 1, subnets(MOST_POOLS + 1));
    let place = "/Ipams".to_owned();
    assert_eq!(refusal(refused), (HResult::HCN_E_INVALID_SUBNET, place));
    network(&mut state, 1, subnets(MOST_POOLS)).unwrap();
}

#[test]
fn addresses_and_mapped_ports_are_bounded() {
    let mut state = State::default();
    let subnets = json!([{"Subnets": [{"IpAddressPrefix": "10.0.0.0/16"}]}]);
    network(&mut state, 1, json!({"Ipams": subnets})).unwrap();
    let addresses = |count: usize| json!({"IpConfigurations": vec![json!({}); count]});
    endpoint(&mut state, 2, addresses(MOST_ADDRESSES)).unwrap();
    let refused = endpoint(&mut state, 3, addresses(MOST_ADDRESSES + 1));
    let place = "/IpConfigurations".to_owned();
    assert_eq!(refusal(refused), (HResult::HCN_E_INVALID_ENDPOINT, place));

    let ports = |from: usize, count: usize| {
        let mappings: Vec<Value> = (from..from + count).map(mapping).collect();
        json!({ "Policies": mappings })
    };
    let none_left = HResult::from_win32(win32::ERROR_NO_SYSTEM_RESOURCES);
    let refused = endpoint(&mut state, 3, ports(1, MOST_MAPPINGS + 1));
    let place = format!("/Policies/{MOST_MAPPINGS}/Settings");
    assert_eq!(refusal(refused), (none_left, place.clone()));
    endpoint(&mut state, 3, ports(1, MOST_MAPPINGS)).unwrap();
    let request = json!({"ResourceType": "Policy", "Settings": ports(1000, 1)});
    let refused = state.modify_endpoint(Guid(3), &request.to_string());
    assert_eq!(refusal(refused), (none_left, place));

    // As many as all endpoints together have, without making them.
    let mut many = Endpoint::clone(&state.endpoints[&Guid(3)]);
    many.terms.mappings = vec![many.terms.mappings[0]; MOST_MAPPINGS_OF_ALL];
    state.endpoints.insert(Guid(3), Arc::new(many));
    let refused = endpoint(&mut state, 4, ports(2000, 1));
    assert_eq!(
        refusal(refused),
        (none_left, "/Policies/0/Settings".to_owned())
    );
}

#[test]
fn recorded_ports_lead_on_where_fewer_may_be_mapped_now() {
    let mut state = with_network();
    endpoint(&mut state, 3, json!({})).unwrap();
    endpoint(&mut state, 4, json!({})).unwrap();
    let record = |state: &State, object| state.record(object).unwrap();
    let mut records = vec![record(&state, Object::Network(Guid(1)))];
    let ports = [(3, 1..MOST_MAPPINGS_OF_ALL + 2), (4, 20_000..20_001)];
    for (id, ports) in ports.clone() {
        let Record::Endpoint { mut document } = record(&state, Object::Endpoint(Guid(id))) else {
            unreachable!("it is an endpoint");
        };
        let mappings: Vec<Value> = ports.map(mapping).collect();
        document.policies = Some(serde_json::from_value(json!(mappings)).unwrap());
        records.push(Record::Endpoint { document });
    }
    let (restored, faults) = State::restore(records.clone());
    assert!(faults.is_empty(), "{faults:?}");
    for (id, ports) in ports {
        assert_eq!(
            restored.endpoint(Guid(id)).unwrap().terms().mappings.len(),
            ports.len()
        );
    }
    // Each port still leads to one endpoint.
    let last = records.pop().unwrap();
    let Record::Endpoint { mut document } = last else {
        unreachable!("it is an endpoint");
    };
    document.policies = Some(serde_json::from_value(json!([mapping(7)])).unwrap());
    records.push(Record::Endpoint { document });
    let (restored, faults) = State::restore(records);
    assert_eq!(faults.len(), 1);
    assert!(restored.endpoint(Guid(4)).is_err());
}

#[test]
fn a_copy_of_all_objects_shares_the_endpoints_that_no_change_is_about() {
    let mut state = with_network();
    for id in 2..5 {
        endpoint(&mut state, id, json!({})).unwrap();
    }
    let mut after = state.clone();
    let of = |bytes| json!({"Type": "QOS", "Settings": {"MaximumOutgoingBandwidthInBytes": bytes}});
    let request = json!({"ResourceType": "Policy", "Settings": {"Policies": [of(1_000_000)]}});
    after
        .modify_endpoint(Guid(3), &request.to_string())
        .unwrap();
    endpoint(&mut after, 5, json!({})).unwrap();
    let is_shared = |id| Arc::ptr_eq(&state.endpoints[&Guid(id)], &after.endpoints[&Guid(id)]);
    assert_eq!([2, 3, 4].map(is_shared), [true, false, true]);
    assert_eq!(state.endpoint(Guid(3)).unwrap().terms().bandwidth, None);
}

#[test]
fn what_an_endpoint_sends_is_limited_by_the_least_of_its_policies() {
    let mut state = with_network();
    let of =
        |bytes: u64| json!({"Type": "QOS", "Settings": {"MaximumOutgoingBandwidthInBytes": bytes}});
    let policies = json!({"Policies": [of(2_000_000), of(1_000_000)]});
    endpoint(&mut state, 2, policies).unwrap();
    let bandwidth = |state: &State| state.endpoint(Guid(2)).map(|one| one.terms().bandwidth);
    assert_eq!(bandwidth(&state).ok().flatten(), Some(1_000_000));
    let refused = endpoint(&mut state, 3, json!({"Policies": [of(8191)]}));
    let place = "/Policies/0/Settings/MaximumOutgoingBandwidthInBytes".to_owned();
    assert_eq!(refusal(refused), (HResult::HCN_E_INVALID_POLICY, place));
    let request =
        json!({"ResourceType": "Policy", "RequestType": "Reset", "Settings": {"Policies": []}});
    state
        .modify_endpoint(Guid(2), &request.to_string())
        .unwrap();
    assert_eq!(bandwidth(&state).ok().flatten(), None);
}

#[test]
fn rules_of_an_endpoint_are_in_their_order_and_bounded() {
    let mut state = with_network();
    let rule = |priority: usize, ports: usize| {
        let ports: Vec<String> = (1..=ports).map(|port| port.to_string()).collect();
        let settings = json!({
            "Action": "Allow", "Direction": "In", "Protocols": "6", "LocalPorts": ports.join(","), "Priority": priority,
        });
        json!({"Type": "ACL", "Settings": settings})
    };
    endpoint(
        &mut state,
        2,
        json!({"Policies": [rule(9, 1), rule(7, 1), rule(9, 2)]}),
    )
    .unwrap();
    let order = |state: &State| -> Vec<(u16, usize)> {
        let terms = state.endpoint(Guid(2)).unwrap().terms();
        let rules = terms.access.iter();
        rules
            .map(|one| (one.priority, one.local_ports.len()))
            .collect()
    };
    assert_eq!(order(&state), [(7, 1), (9, 1), (9, 2)]);
    let many = vec![rule(1, 256); MOST_ACCESS_RULES / 256];
    endpoint(&mut state, 3, json!({ "Policies": many.clone() })).unwrap();
    let many = [many, vec![rule(1, 1)]].concat();
    let refused = endpoint(&mut state, 4, json!({ "Policies": many }));
    let place = "/Policies/4/Settings".to_owned();
    assert_eq!(refusal(refused), (HResult::HCN_E_INVALID_POLICY, place));
    // As many as all endpoints together have, without making them.
    let mut full = Endpoint::clone(&state.endpoints[&Guid(3)]);
    full.terms.access = vec![full.terms.access[0].clone(); MOST_ACCESS_RULES_OF_ALL / 256];
    state.endpoints.insert(Guid(3), Arc::new(full));
    let refused = endpoint(&mut state, 4, json!({ "Policies": [rule(1, 1)] }));
    let none_left = HResult::from_win32(win32::ERROR_NO_SYSTEM_RESOURCES);
    assert_eq!(refusal(refused), (none_left, "/Policies".to_owned()));
}
