//! What containers that have ended leave in the kernel, and how it is cleared away while no client waits for that.
//!
//! While the kernel takes a network namespace apart, all who change links wait for it, for ten milliseconds and more;
//! several at once take little longer than one. So the endpoints that were made for a container linger: they are no
//! objects any more, and no port of the host leads to them. But each link stays a port of its bridge, held to its
//! addresses by the rules, until no change has come for a while. Then the namespaces of all such containers are let go.
//! When their links are gone, their rules go, and the kernel forgets the connections of their addresses.
//!
//! No client sees what lingers, no record has it, and no limit counts it. It is in no client's way. It goes at once
//! when its address is given to another endpoint, or its namespace to another container. So it does when its network
//! changes or is full. Its connections are forgotten before. What a service leaves that is killed meanwhile has no
//! record, so the next one removes the links. Nor does it know their addresses: it has the kernel forget the
//! connections of all addresses in the subnets of its networks that no endpoint has.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    os::fd::OwnedFd,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use engine_network::{Stray, forget, sweep, take_leave};
use hcn::{
    Guid, MOST_ENDPOINTS, Object, State,
    intent::{EndpointIntent, NetworkIntent},
};
use hcs_schema::Failure;
use hcs_wire::environment::is_root;
use tracing::warn;

use super::{
    Held, Networks, Occupant,
    hosts::Hosts,
    spares::{Spare, is_free},
};
use crate::{record::blocking::blocking, thread::rounds::Who};

/// How long no change has to come until what lingers goes, how often that is waited for, and how many endpoints linger
/// at most.
const QUIET: Duration = Duration::from_millis(50);
const MOST_WAITS: usize = 20;
const MOST_LINGERING: usize = 64;

/// After how long the links of a machine that has ended are gone, unless something keeps them: a removal by request
/// would have others wait for the kernel.
const GONE: Duration = Duration::from_millis(200);

/// What is left of machines that have ended, and is cleared away while no other change waits.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// Links, which are in no network any more.
    pub(super) links: Vec<Stray>,
    /// Addresses that were given back. The next endpoint gets another one, unless it asks for one of these.
    pub(super) addresses: Vec<IpAddr>,
}

impl Left {
    fn is_empty(&self) -> bool {
        self.links.is_empty() && self.addresses.is_empty()
    }

    /// This without addresses that are `used` again.
    fn without(mut self, used: &BTreeSet<IpAddr>) -> Self {
        self.addresses.retain(|address| !used.contains(address));
        self
    }

    /// Has the kernel forget connections: for that it goes through its whole table of them, which takes milliseconds.
    ///
    /// # Errors
    /// It could not be done. It may be tried again.
    fn forget(&self, hosts: &Hosts) -> Result<(), Failure> {
        match &*self.addresses {
            [] => Ok(()),
            addresses => hosts.look(|host| forget(host, addresses)),
        }
    }

    /// Removes links. Most are gone by themselves after [`GONE`].
    ///
    /// # Errors
    /// The first that could not be removed. It may be tried again; the next service finds a link that stays.
    fn sweep(&self, hosts: &Hosts) -> Result<(), Failure> {
        match &*self.links {
            [] => Ok(()),
            links => hosts.look(|host| sweep(host, links)),
        }
    }
}

/// An endpoint of a container that has ended, whose link may still be there.
#[derive(Clone, Debug)]
pub(super) struct Lingering {
    /// The network as it was when the container ended.
    network: NetworkIntent,
    /// What is in the kernel.
    intent: EndpointIntent,
    /// Whether ports of the host led to it: connections to it may have begun before its link was there.
    was_published: bool,
    /// Whether it has sent nothing.
    is_silent: bool,
}

impl Lingering {
    /// The id that the endpoint had.
    pub(super) const fn id(&self) -> Guid {
        self.intent.id
    }

    /// What is in the kernel.
    pub(super) const fn intent(&self) -> &EndpointIntent {
        &self.intent
    }

    /// Whether there is no connection of it that the kernel has to forget. What others have begun to send to its
    /// address without a port of the host is for that address, whose it may be next.
    pub(super) const fn has_no_connection(&self) -> bool {
        self.is_silent && !self.was_published
    }

    /// Whether it stands neither in a client's way nor in that of a spare.
    pub(super) fn is_free(&self, state: &State, spares: &[Spare]) -> bool {
        let (addresses, mac) = (&self.intent.addresses, self.intent.mac);
        let meets = |other: &EndpointIntent| {
            let mut both = other.addresses.iter();
            let is_met = other.mac == mac || both.any(|one| addresses.contains(one));
            other.network == self.network.id && is_met
        };
        is_free(state, &self.network, &self.intent) && !spares.iter().any(|one| meets(one.intent()))
    }
}

/// Has the endpoints linger that were made for the container `occupant` of a namespace, which has ended. Those that
/// stay without it do not: when they come back, their links would be in the way.
pub(super) fn linger(held: &mut Held, namespace: Guid, occupant: &Occupant) {
    // The link of a card ends with its machine, and the network of an ordinary user's container with that.
    if !is_root() || occupant.machine.is_some() {
        return;
    }
    for endpoint in held.state.namespace_intent(namespace) {
        let is_there = held.attached.contains(&endpoint.id) && endpoint.adapter.is_none();
        let network = held.state.network_intent(endpoint.network);
        let Some(network) = network.filter(|_| is_there && ends(held, occupant, &endpoint)) else {
            continue;
        };
        held.lingering.push(Lingering {
            network,
            was_published: !endpoint.mappings.is_empty() || endpoint.balanced,
            is_silent: false,
            intent: EndpointIntent {
                mappings: Vec::new(),
                balanced: false,
                ..endpoint
            },
        });
    }
}

/// Has the endpoints linger of the container `runtime_id` that was kept ready, and is ended.
pub(super) fn linger_spares(held: &mut Held, runtime_id: &str) {
    let ended = |spare: &mut Spare| spare.is_of(runtime_id);
    let ended: Vec<Spare> = held.spares.extract_if(.., ended).collect();
    held.lingering.extend(ended.iter().map(|spare| Lingering {
        network: spare.network().clone(),
        was_published: false,
        is_silent: false,
        intent: spare.intent().clone(),
    }));
}

impl Held {
    /// What stands in the way of something does not linger any more.
    pub(super) fn settle_lingering(&mut self) {
        let (state, spares, occupants) = (&self.state, &self.spares, &self.occupants);
        let mut ports: BTreeMap<Guid, usize> = BTreeMap::new();
        self.lingering.retain(|one| {
            let network = one.network.id;
            // A link that lingers is a port of the bridge, and a bridge has room for few more than a network may have.
            let is_free =
                one.is_free(state, spares) && !occupants.contains_key(&one.intent.namespace);
            is_free && {
                let count =
                    (ports.entry(network)).or_insert_with(|| state.endpoints_of(network).count());
                *count += 1;
                *count <= MOST_ENDPOINTS
            }
        });
    }
}

/// Whether an endpoint ends with its container.
fn ends(held: &Held, occupant: &Occupant, endpoint: &EndpointIntent) -> bool {
    held.made_for.get(&Object::Endpoint(endpoint.id)) == Some(&occupant.runtime_id)
}

impl Networks {
    /// The network namespaces of containers that ended by a change are kept, if all endpoints of theirs linger.
    pub(super) fn keep_spaces(&self, before: &Held, after: &Held) {
        let mut spaces = self.spaces.borrow_mut();
        for (namespace, occupant) in &before.occupants {
            if after.occupants.contains_key(namespace) {
                continue;
            }
            let space = spaces.remove(&occupant.runtime_id);
            let mut endpoints = before.state.namespace_intent(*namespace).into_iter();
            let lingers = |one: EndpointIntent| {
                let mut lingering = after.lingering.iter();
                lingering.any(|other| other.id() == one.id)
            };
            if endpoints.all(lingers) {
                self.resting.borrow_mut().extend(space);
            }
        }
    }

    fn has_lingering(&self) -> bool {
        !self.held.borrow().lingering.is_empty() || !self.resting.borrow().is_empty()
    }

    /// Has what lingers go by itself, once it is quiet.
    pub(super) fn let_go_later(self: &Rc<Self>) {
        if !self.has_lingering() || self.letting_go.replace(true) {
            return;
        }
        self.clear_by(|networks| async move {
            while networks.has_lingering() {
                networks.await_quiet().await;
                if let Err(failure) = networks.let_go().await {
                    // It is tried again along with the next one, or at the next check.
                    warn!("an endpoint that ended stays: {}", failure.log_line());
                    break;
                }
            }
            networks.letting_go.set(false);
        });
    }

    /// Lets what lingers go, and waits for the kernel between two turns.
    async fn let_go(self: &Rc<Self>) -> Result<(), Failure> {
        let turn = self.turn_of(Who::SERVICE).await;
        let spaces: Vec<OwnedFd> = self.resting.take();
        let lingering = self.held.borrow().lingering.clone();
        let ids: BTreeSet<Guid> = lingering.iter().map(Lingering::id).collect();
        let hosts = Arc::clone(&self.hosts);
        let told = blocking(move || {
            let endpoints: Vec<_> = lingering.iter().map(Lingering::intent).collect();
            let told = match &*endpoints {
                [] => Ok(BTreeSet::new()),
                endpoints => hosts.change(|host| take_leave(host, endpoints)),
            };
            drop(spaces);
            told
        });
        let silent = told.await?;
        for one in &mut self.held.borrow_mut().lingering {
            one.is_silent = silent.contains(&one.id());
        }
        drop(turn);
        tokio::time::sleep(GONE).await;
        let turn = self.turn_of(Who::SERVICE).await;
        let gone = self.alter(turn, None, move |held, _| {
            held.lingering.retain(|one| !ids.contains(&one.id()));
            Ok(())
        });
        gone.await
    }

    /// Returns when no change has come for a while; at once where too much would linger, or the service leaves.
    async fn await_quiet(&self) {
        for _ in 0..MOST_WAITS {
            let before = self.changes.get();
            if self.finishing.get() || self.held.borrow().lingering.len() > MOST_LINGERING {
                break;
            }
            tokio::time::sleep(QUIET).await;
            if self.changes.get() == before {
                break;
            }
        }
    }

    /// Clears something away, which is waited for before the service leaves.
    fn clear_by<F: Future<Output = ()>>(
        self: &Rc<Self>,
        clear: impl FnOnce(Rc<Self>) -> F + 'static,
    ) {
        self.clearing.set(self.clearing.get() + 1);
        let networks = Rc::clone(self);
        tokio::task::spawn_local(async move {
            clear(Rc::clone(&networks)).await;
            networks.clearing.set(networks.clearing.get() - 1);
            networks.has_cleared.notify_waiters();
        });
    }

    /// Clears away what is left of ended machines, while others go on. An address that another endpoint has by now is
    /// that one's.
    pub(super) fn clear_later(self: &Rc<Self>, left: Left) {
        if !left.is_empty() {
            self.clear_by(|networks| async move { networks.clear(left).await });
        }
    }

    async fn clear(&self, left: Left) {
        // By now the change that left it is what is held.
        let endpoints = self.held.borrow().intent().endpoints;
        let addresses = endpoints.iter().flat_map(|one| &one.addresses);
        let left = left.without(&addresses.map(|(address, _)| *address).collect());
        let hosts = Arc::clone(&self.hosts);
        let cleared = async {
            let again = Arc::clone(&hosts);
            let forgotten = blocking(move || Ok((left.forget(&again), left)));
            let (forgotten, left) = forgotten.await?;
            if !left.links.is_empty() {
                tokio::time::sleep(GONE).await;
            }
            blocking(move || Ok((left.sweep(&hosts).and(forgotten), left))).await
        };
        let failure = match cleared.await {
            Ok((Ok(()), _)) => return,
            Ok((Err(failure), left)) => {
                self.uncleared.borrow_mut().push(left);
                failure
            }
            Err(failure) => failure,
        };
        warn!(
            "something of an ended container stays: {}",
            failure.log_line()
        );
    }

    /// Tries again to clear away what could not be.
    pub(super) fn clear_again(self: &Rc<Self>) {
        for left in self.uncleared.take() {
            self.clear_later(left);
        }
        self.let_go_later();
    }

    /// The service leaves: what ended containers had is given back and cleared away, as far as `limit` lets it. The
    /// next service finds the rest.
    pub(crate) async fn finish(self: &Rc<Self>, limit: Duration) {
        self.finishing.set(true);
        self.settled().await;
        self.clear_again();
        let cleared = async {
            loop {
                let cleared = self.has_cleared.notified();
                if self.clearing.get() == 0 {
                    return;
                }
                cleared.await;
            }
        };
        if tokio::time::timeout(limit, cleared).await.is_err() {
            warn!("something of ended containers stays in the kernel: it took too long");
        }
    }
}

#[cfg(test)]
mod tests {
    use hcn::Surroundings;
    use serde_json::json;

    use super::*;

    const NETWORK: Guid = Guid(1);
    const NAMESPACE: Guid = Guid(2);

    /// A network with a container that has an endpoint, whose document has `more`.
    fn held(more: &serde_json::Value) -> (Held, Occupant) {
        let mut held = Held::default();
        let version = json!({ "Major": 2, "Minor": 0 });
        let ipams = json!([{ "Subnets": [{ "IpAddressPrefix": "10.9.0.0/16" }] }]);
        let network = json!({ "SchemaVersion": version, "Name": "nat", "Ipams": ipams });
        let network = network.to_string();
        let made = held
            .state
            .create_network(NETWORK, &network, &Surroundings::default());
        made.unwrap();
        let mut endpoint = more.clone();
        endpoint["SchemaVersion"] = version;
        held.state
            .create_endpoint(NETWORK, Guid(3), &endpoint.to_string())
            .unwrap();
        let resources = json!([{ "Type": "Endpoint", "Data": { "Id": Guid(3) } }]);
        held.state
            .create_namespace(NAMESPACE, &json!({ "Resources": resources }).to_string())
            .unwrap();
        let occupant = Occupant {
            id: "one".to_owned(),
            runtime_id: "1".to_owned(),
            user: None,
            names: Vec::new(),
            machine: None,
        };
        held.made_for
            .insert(Object::Endpoint(Guid(3)), occupant.runtime_id.clone());
        held.occupants.insert(NAMESPACE, occupant.clone());
        held.attached = held.wanted();
        (held, occupant)
    }

    /// The endpoint ends with its container.
    fn ended(held: &mut Held, occupant: &Occupant) {
        linger(held, NAMESPACE, occupant);
        held.occupants.clear();
        held.state.end_endpoint(Guid(3)).unwrap();
        held.settle();
    }

    #[test]
    fn an_endpoint_that_lingers_is_held_to_its_addresses_and_no_port_leads_to_it() {
        let mapping = json!({ "Protocol": 6, "InternalPort": 80, "ExternalPort": 8080 });
        let policies = json!({ "Policies": [{ "Type": "PortMapping", "Settings": mapping }] });
        let (mut held, occupant) = held(&policies);
        let before = held.intent().endpoints.remove(0);
        ended(&mut held, &occupant);
        let after = held.intent().endpoints.remove(0);
        assert!(!before.mappings.is_empty() && after.mappings.is_empty());
        assert_eq!((after.id, &after.addresses), (before.id, &before.addresses));
        assert_eq!(held.wanted(), BTreeSet::from([Guid(3)]));
        assert_eq!(
            held.state.objects(),
            [Object::Network(NETWORK), Object::Namespace(NAMESPACE)]
        );
    }

    #[test]
    fn an_endpoint_that_lingers_is_in_no_clients_way() {
        let (mut held, occupant) = held(&json!({}));
        let address = held.intent().endpoints[0].addresses[0].0.to_string();
        ended(&mut held, &occupant);
        assert_eq!(held.lingering.len(), 1);
        let mut create = |id, configurations: serde_json::Value| {
            let version = json!({ "Major": 2, "Minor": 0 });
            let settings = json!({ "SchemaVersion": version, "IpConfigurations": configurations });
            let made = held
                .state
                .create_endpoint(NETWORK, Guid(id), &settings.to_string());
            made.unwrap();
            held.settle();
            held.lingering.len()
        };
        assert_eq!(create(4, json!([])), 1, "the next one gets another address");
        assert_eq!(create(5, json!([{ "IpAddress": address }])), 0);
    }

    #[test]
    fn what_lingers_goes_when_its_namespace_has_another_container_or_its_network_is_full() {
        let (mut held, occupant) = held(&json!({}));
        ended(&mut held, &occupant);
        let mut other = held.clone();
        other.occupants.insert(NAMESPACE, occupant);
        other.settle();
        assert!(other.lingering.is_empty());
        let settings = json!({ "SchemaVersion": { "Major": 2, "Minor": 0 } }).to_string();
        let mut create = |count: u128| {
            let id = Guid((count + 1) << 72);
            let made = held.state.create_endpoint(NETWORK, id, &settings);
            made.unwrap();
            held.settle();
            held.lingering.len()
        };
        let most = u128::try_from(MOST_ENDPOINTS).unwrap();
        assert!((1..most).all(|count| create(count) == 1));
        assert_eq!(create(most), 0);
    }

    #[test]
    fn the_end_of_an_endpoint_without_ports_asks_nothing_of_the_kernel() {
        let (mut held, occupant) = held(&json!({}));
        let (intent, wanted) = (held.intent(), held.wanted());
        ended(&mut held, &occupant);
        assert_eq!((held.intent(), held.wanted()), (intent, wanted));
    }

    #[test]
    fn what_goes_with_its_network_or_stays_without_its_container_does_not_linger() {
        let (mut held, occupant) = held(&json!({}));
        let mut other = held.clone();
        ended(&mut held, &occupant);
        held.state.delete_network(NETWORK).unwrap();
        held.settle();
        assert!(held.lingering.is_empty());
        other.made_for.clear();
        linger(&mut other, NAMESPACE, &occupant);
        assert!(other.lingering.is_empty());
    }

    #[test]
    fn a_service_leaves_when_what_ended_containers_had_is_cleared_away() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let root = tempfile::tempdir().unwrap();
            let networks = Networks::open(root.path(), "test".to_owned(), false);
            let networks = Rc::new(networks);
            networks.clear_later(Left {
                links: Vec::new(),
                addresses: vec![[192, 0, 2, 1].into()],
            });
            assert_eq!(networks.clearing.get(), 1);
            networks.finish(Duration::from_secs(60)).await;
            assert_eq!(networks.clearing.get(), 0);
        });
    }
}
