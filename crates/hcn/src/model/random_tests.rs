//! Random calls of the model against a small one, and records that make up the same state again.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::json;

use super::{
    tests::{V2, network, v2, with_network},
    *,
};

/// A call of a random client; ids are small numbers, so that calls meet.
#[derive(Clone, Debug)]
enum RandomCall {
    Network(u8, u8),
    Endpoint(u8, u8, Option<u8>, Option<u8>),
    Namespace(u8),
    Attach(u8, u8, bool),
    DeleteNetwork(u8),
    DeleteEndpoint(u8),
    DeleteNamespace(u8),
}

fn call() -> impl Strategy<Value = RandomCall> {
    let id = 0..4_u8;
    prop_oneof![
        1 => (id.clone(), 0..3_u8).prop_map(|(id, subnet)| RandomCall::Network(id, subnet)),
        6 => (id.clone(), 0..12_u8, prop::option::of(0..9_u8), prop::option::of(1..6_u8))
            .prop_map(|(network, id, address, port)| RandomCall::Endpoint(network, id, address, port)),
        2 => id.clone().prop_map(RandomCall::Namespace),
        6 => (id.clone(), 0..12_u8, any::<bool>()).prop_map(|(id, endpoint, add)| RandomCall::Attach(id, endpoint, add)),
        1 => id.clone().prop_map(RandomCall::DeleteNetwork),
        3 => (0..12_u8).prop_map(RandomCall::DeleteEndpoint),
        1 => id.prop_map(RandomCall::DeleteNamespace),
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
    fn apply(&mut self, call: &RandomCall, done: bool) -> bool {
        let known = match call {
            RandomCall::Network(id, subnet) => {
                !self.networks.contains_key(id)
                    && !self.networks.values().any(|other| other == subnet)
            }
            RandomCall::Endpoint(network, id, _, port) => {
                let taken = self
                    .endpoints
                    .values()
                    .any(|other| port.is_some() && other.port == *port);
                self.networks.contains_key(network) && !self.endpoints.contains_key(id) && !taken
            }
            RandomCall::Namespace(id) => !self.namespaces.contains(id),
            RandomCall::Attach(id, endpoint, add) => {
                let place = self
                    .endpoints
                    .get(endpoint)
                    .map(|endpoint| endpoint.namespace);
                let wanted = if *add { None } else { Some(*id) };
                self.namespaces.contains(id) && place == Some(wanted)
            }
            RandomCall::DeleteNetwork(id) => self.networks.contains_key(id),
            RandomCall::DeleteEndpoint(id) => self.endpoints.contains_key(id),
            RandomCall::DeleteNamespace(id) => self.namespaces.contains(id),
        };
        if known && done {
            self.commit(call);
        }
        known
    }

    fn commit(&mut self, call: &RandomCall) {
        match *call {
            RandomCall::Network(id, subnet) => drop(self.networks.insert(id, subnet)),
            RandomCall::Endpoint(network, id, _, port) => {
                let endpoint = SmallEndpoint {
                    network,
                    namespace: None,
                    port,
                };
                self.endpoints.insert(id, endpoint);
            }
            RandomCall::Namespace(id) => drop(self.namespaces.insert(id)),
            RandomCall::Attach(id, endpoint, add) => {
                self.endpoints.get_mut(&endpoint).unwrap().namespace = add.then_some(id);
            }
            RandomCall::DeleteNetwork(id) => {
                self.networks.remove(&id);
                self.endpoints.retain(|_, endpoint| endpoint.network != id);
            }
            RandomCall::DeleteEndpoint(id) => drop(self.endpoints.remove(&id)),
            RandomCall::DeleteNamespace(id) => {
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

fn perform(state: &mut State, call: &RandomCall) -> Result<Changes, Failure> {
    match call {
        RandomCall::Network(id, subnet) => {
            let subnets =
                json!([{"Subnets": [{"IpAddressPrefix": format!("10.{subnet}.0.0/29")}]}]);
            network(state, nth(1, *id).0, json!({"Ipams": subnets}))
        }
        RandomCall::Endpoint(network, id, address, port) => {
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
        RandomCall::Namespace(id) => state.create_namespace(nth(3, *id), V2),
        RandomCall::Attach(id, endpoint, add) => {
            let what = if *add { "Add" } else { "Remove" };
            let settings = json!({"EndpointId": nth(2, *endpoint)});
            let request =
                json!({"ResourceType": "Endpoint", "RequestType": what, "Settings": settings});
            state.modify_namespace(nth(3, *id), &request.to_string())
        }
        RandomCall::DeleteNetwork(id) => state.delete_network(nth(1, *id)),
        RandomCall::DeleteEndpoint(id) => state.delete_endpoint(nth(2, *id)),
        RandomCall::DeleteNamespace(id) => state.delete_namespace(nth(3, *id)),
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
