//! The network of a virtual machine: its adapters, from its document to its end, and what changes while it runs.
//!
//! A machine has a namespace as a container has, which is a record only: it says which endpoints are the machine's. Its
//! endpoints are cards, plugged in before it is started. Their links go with it.

use std::{collections::BTreeSet, rc::Rc, sync::Arc};

use hcn::{Changes, Guid, intent};
use hcs_engine::{
    engine::Machine,
    modification::{Action, SETTINGS},
};
use hcs_schema::{
    Failure, HResult,
    documents::{NetworkAdapter, Networking, VirtualMachine},
};
use hcs_wire::{
    environment::is_root,
    guest::{GuestCard, GuestNetwork, GuestRoute},
};

use super::{
    GuestNames, Held, Networks, Occupant, calls,
    containers::{self, Adapter, Home, Place, Tenant, about_endpoint_as, refused},
    join,
};
use crate::{engines::resolver, record::blocking::blocking};

const ENDPOINTS: &str = "/VirtualMachine/Networking/Endpoints";
const NAMED: &str = "/VirtualMachine/Networking/NetworkAdapters";
const ADAPTERS: &str = "/VirtualMachine/Devices/NetworkAdapters";

/// The largest packet of a network where nothing else is said, in bytes.
const USUAL_MTU: u32 = 1500;

/// Reads what a document has of networks; none where it names no endpoint. The engine reads the same, for places to
/// plug cards in.
///
/// # Errors
/// An endpoint is not named as it has to be, or the service cannot have networks, by JSON pointer.
pub(super) fn claim(machine: &VirtualMachine) -> Result<Option<Place>, Failure> {
    let devices = machine.devices.as_ref();
    let cards = devices.and_then(|devices| devices.network_adapters.as_ref());
    let mut networking = machine.networking.clone().unwrap_or_default();
    let named = networking.network_adapters.take().unwrap_or_default();
    let endpoints = networking.endpoints.take().unwrap_or_default();
    let mut adapters = containers::adapters(NAMED, &named)?;
    let mut names = GuestNames::default();
    for (name, card) in cards.into_iter().flatten() {
        let adapter = adapter(card, &format!("{ADAPTERS}/{name}"))?;
        names.adapters.insert(name.clone(), adapter.endpoint);
        adapters.push(adapter);
    }
    let is_asked_for =
        !endpoints.is_empty() || !adapters.is_empty() || machine.networking.is_some();
    if !is_asked_for {
        return Ok(None);
    }
    if !is_root() {
        let pointer = if endpoints.is_empty() {
            ADAPTERS
        } else {
            ENDPOINTS
        };
        return Err(calls::not_for_users().cause_at(pointer, "networks take the rights of root"));
    }
    containers::resolve(&mut networking, &endpoints);
    names.hosts = entries(&networking);
    Ok(Some(Place {
        home: Home::Own {
            endpoints,
            at: ENDPOINTS,
            adapters,
        },
        names: networking.aliases.take().unwrap_or_default(),
        machine: Some((names, networking)),
    }))
}

fn entries(networking: &Networking) -> String {
    let entries = networking.host_entries.iter().flatten();
    let lines = entries.filter_map(|entry| {
        let (name, address) = (entry.name.as_deref()?, entry.address.as_deref()?);
        Some(format!("{address}\t{name}\n"))
    });
    lines.collect()
}

/// The endpoint of an adapter that stands at `pointer`.
fn adapter(card: &NetworkAdapter, pointer: &str) -> Result<Adapter, Failure> {
    if card.is_connected == Some(false) {
        let message = "the cable of an adapter is always in; leave the adapter out, or remove it";
        return Err(Failure::new(HResult::NOT_SUPPORTED, message)
            .cause_at(format!("{pointer}/IsConnected"), message));
    }
    let place = format!("{pointer}/EndpointId");
    let id = card.endpoint_id.as_deref().unwrap_or_default();
    let endpoint = id.parse().ok().filter(|id| *id != Guid::NONE);
    let endpoint = endpoint.ok_or_else(|| {
        let message = "the id of an endpoint is expected, which HcnCreateEndpoint has made";
        refused(&place, message)
    })?;
    let mac = card.mac_address.as_deref().filter(|text| !text.is_empty());
    let place_of_mac = format!("{pointer}/MacAddress");
    let mac = mac.map(|text| match text.parse() {
        Ok(mac) => Ok((place_of_mac.clone(), mac)),
        Err(_) => Err(refused(&place_of_mac, "a hardware address is expected")),
    });
    Ok(Adapter {
        pointer: place,
        endpoint,
        mac: mac.transpose()?,
    })
}

/// A change of an adapter, by the name that the path of the request has.
#[derive(Debug)]
pub(crate) struct AdapterChange {
    name: String,
    /// What is added; none for a removal.
    added: Option<Adapter>,
}

impl AdapterChange {
    /// The change of an adapter that an engine would be asked for; `None` where it is another change.
    ///
    /// # Errors
    /// It cannot be done, by JSON pointer.
    pub(crate) fn of(action: &Action) -> Result<Option<Self>, Failure> {
        let (name, added) = match action {
            Action::AddNetworkAdapter { name, adapter } => (name, Some(adapter)),
            Action::RemoveNetworkAdapter { name } => (name, None),
            _ => return Ok(None),
        };
        let added = added.map(|card| adapter(card, SETTINGS)).transpose()?;
        Ok(Some(Self {
            name: name.clone(),
            added,
        }))
    }
}

impl Networks {
    /// Plugs an adapter into a machine, or takes one away.
    ///
    /// # Errors
    /// What the model refuses, or the host; nothing has changed then.
    pub(crate) async fn change_adapter(
        self: &Rc<Self>,
        Tenant {
            id,
            runtime_id,
            user,
        }: Tenant<'_>,
        machine: Arc<dyn Machine>,
        change: AdapterChange,
    ) -> Result<(), Failure> {
        if !is_root() {
            return Err(calls::not_for_users());
        }
        self.machines
            .borrow_mut()
            .insert(runtime_id.to_owned(), machine);
        // It counts for a machine only that was in no network so far: its document says nothing of names then.
        let resolver = match &change.added {
            Some(_) => blocking(|| Ok(resolver(&Networking::default()))).await?,
            None => None,
        };
        let occupant = Occupant {
            id: id.to_owned(),
            runtime_id: runtime_id.to_owned(),
            user: Some(user),
            names: Vec::new(),
            machine: Some(GuestNames {
                resolver: resolver.unwrap_or_default(),
                ..GuestNames::default()
            }),
        };
        let AdapterChange { name, added } = change;
        let turn = self.turn().await;
        self.alter(turn, None, move |held, changes| match added {
            Some(adapter) => add(held, occupant, name, &adapter, changes),
            None => take(held, &occupant.runtime_id, &name, changes),
        })
        .await
    }
}

fn of(runtime_id: &str) -> Result<Guid, Failure> {
    runtime_id.parse().map_err(|_| {
        let message = "the runtime id of the virtual machine is no GUID";
        Failure::new(HResult::E_UNEXPECTED, message)
    })
}

/// The names of a machine's adapters.
fn known(held: &mut Held, namespace: Guid) -> Option<&mut GuestNames> {
    held.occupants.get_mut(&namespace)?.machine.as_mut()
}

fn add(
    held: &mut Held,
    occupant: Occupant,
    name: String,
    adapter: &Adapter,
    changes: &mut Changes,
) -> Result<(), Failure> {
    let namespace = of(&occupant.runtime_id)?;
    if !held.occupants.contains_key(&namespace) {
        containers::furnish(held, (ENDPOINTS, &[]), &[], (occupant, None), changes)?;
    }
    let there = known(held, namespace).and_then(|names| names.adapters.get(&name).copied());
    // A client may have taken its endpoint out before, or deleted it.
    let is_in = |id: &Guid| {
        let endpoints = held.state.namespace_intent(namespace);
        endpoints.iter().any(|one| one.id == *id)
    };
    if let Some(there) = there.filter(is_in) {
        if there == adapter.endpoint {
            return Ok(());
        }
        let message =
            format!("the virtual machine has a network adapter {name:?}: remove it first");
        return Err(Failure::new(HResult::HCS_E_INVALID_STATE, message.clone())
            .cause_at("/ResourcePath", message));
    }
    containers::put_in(held, namespace, adapter, changes)?;
    each_has_its_own_mac(held, namespace, &adapter.pointer)?;
    if let Some(names) = known(held, namespace) {
        names.adapters.insert(name, adapter.endpoint);
    }
    Ok(())
}

/// Refuses a machine whose guest could not tell its cards apart.
///
/// # Errors
/// Two of its endpoints have the same hardware address.
pub(super) fn each_has_its_own_mac(
    held: &Held,
    namespace: Guid,
    pointer: &str,
) -> Result<(), Failure> {
    let endpoints = held.state.namespace_intent(namespace);
    let mut seen = BTreeSet::new();
    let Some(second) = endpoints.iter().find(|one| !seen.insert(one.mac)) else {
        return Ok(());
    };
    let message = format!(
        "two endpoints of the virtual machine have the hardware address {}: make one of them with another",
        second.mac
    );
    Err(Failure::new(HResult::E_INVALIDARG, message.clone()).cause_at(pointer.to_owned(), message))
}

fn take(
    held: &mut Held,
    runtime_id: &str,
    name: &str,
    changes: &mut Changes,
) -> Result<(), Failure> {
    let namespace = of(runtime_id)?;
    let endpoint = known(held, namespace).and_then(|names| names.adapters.remove(name));
    let Some(endpoint) = endpoint else {
        let message = format!("the virtual machine has no network adapter {name:?}");
        return Err(
            Failure::new(HResult::E_INVALIDARG, message.clone()).cause_at("/ResourcePath", message)
        );
    };
    let request = about_endpoint_as("Remove", endpoint);
    // It is as well if a client has taken it out before, or deleted it.
    match held.state.modify_namespace(namespace, &request) {
        Ok(more) => join(changes, more),
        Err(_gone) => changes.written.push(hcn::Object::Namespace(namespace)),
    }
    Ok(())
}

/// The namespace of a machine that is in one, which has its runtime id, and what is known of its network besides; none
/// for a container.
pub(super) fn known_of<'a>(held: &'a Held, runtime_id: &str) -> Option<(Guid, &'a GuestNames)> {
    let namespace: Guid = runtime_id.parse().ok()?;
    let occupant = held.occupants.get(&namespace)?;
    Some((namespace, occupant.machine.as_ref()?))
}

/// What the agent of a machine is told of its cards; none for a container, whose network the host sets up.
pub(super) fn told(held: &Held, runtime_id: &str) -> Option<GuestNetwork> {
    let (namespace, names) = known_of(held, runtime_id)?;
    let endpoints = held.state.namespace_intent(namespace);
    let routes = intent::guest_routes(&endpoints);
    let cards = endpoints
        .iter()
        .zip(routes)
        .map(|(endpoint, routes)| GuestCard {
            mac: endpoint.mac.to_string(),
            mtu: endpoint.mtu.unwrap_or(USUAL_MTU),
            addresses: endpoint
                .addresses
                .iter()
                .map(|(address, length)| format!("{address}/{length}"))
                .collect(),
            routes: routes
                .into_iter()
                .map(|(to, router, metric)| GuestRoute {
                    to: to.to_string(),
                    router: router.to_string(),
                    metric,
                })
                .collect(),
        });
    Some(GuestNetwork {
        cards: cards.collect(),
        resolver: names.resolver.clone(),
    })
}

#[cfg(test)]
mod tests {
    use hcn::Surroundings;

    use super::*;

    const MACHINE: Guid = Guid(1000);

    /// Two networks, each with an endpoint of one of these hardware addresses.
    fn held(macs: [&str; 2]) -> (Held, [Adapter; 2]) {
        let mut held = Held::default();
        let mut endpoint = |number: u128, mac: &str| {
            let about =
                |what: &str| format!(r#"{{"SchemaVersion":{{"Major":2,"Minor":0}},"{what}"}}"#);
            let (network, endpoint) = (Guid(number), Guid(100 + number));
            let named = about(&format!(r#"Name":"n{number}"#));
            held.state
                .create_network(network, &named, &Surroundings::default())
                .unwrap();
            let addressed = about(&format!(r#"MacAddress":"{mac}"#));
            held.state
                .create_endpoint(network, endpoint, &addressed)
                .unwrap();
            Adapter {
                pointer: SETTINGS.to_owned(),
                endpoint,
                mac: None,
            }
        };
        let adapters = [endpoint(1, macs[0]), endpoint(2, macs[1])];
        (held, adapters)
    }

    fn plug(held: &mut Held, name: &str, adapter: &Adapter) -> Result<(), Failure> {
        let occupant = Occupant {
            id: "machine".to_owned(),
            runtime_id: MACHINE.to_string(),
            user: None,
            names: Vec::new(),
            machine: Some(GuestNames::default()),
        };
        add(
            held,
            occupant,
            name.to_owned(),
            adapter,
            &mut Changes::default(),
        )
    }

    #[test]
    fn an_adapter_whose_endpoint_has_gone_is_none_that_is_there() {
        let (mut held, [one, two]) = held(["00-15-5D-00-00-01", "00-15-5D-00-00-02"]);
        plug(&mut held, "a", &one).unwrap();
        plug(&mut held, "a", &one).unwrap();
        let refused = plug(&mut held, "a", &two).unwrap_err();
        assert_eq!(refused.hresult, HResult::HCS_E_INVALID_STATE);
        let request = about_endpoint_as("Remove", one.endpoint);
        held.state.modify_namespace(MACHINE, &request).unwrap();
        plug(&mut held, "a", &two).unwrap();
        assert_eq!(told(&held, &MACHINE.to_string()).unwrap().cards.len(), 1);
        assert_eq!(told(&held, &Guid(9).to_string()), None);
    }

    #[test]
    fn a_machine_has_no_two_cards_of_one_hardware_address() {
        let (mut held, [one, two]) = held(["00-15-5D-00-00-01"; 2]);
        plug(&mut held, "a", &one).unwrap();
        let refused = plug(&mut held, "b", &two).unwrap_err();
        assert_eq!(refused.hresult, HResult::E_INVALIDARG);
        assert_eq!(refused.causes[0].pointer.as_deref(), Some(SETTINGS));
    }
}
