//! What a state asks of the kernel, as a plain value: links, addresses, routes, and what the rules are about.
//!
//! An engine compares this with what it finds and makes the difference. Nothing here says how: rules are given as what
//! they are to achieve, and an engine writes the table as a whole.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
};

use crate::{
    access::{AccessRule, Tier},
    address::{Mac, Prefix},
    guid::Guid,
    model::{
        BalancedPort, Endpoint, LoadBalancer, MOST_OBJECTS, Mapping, Network, Outbound, Proxy,
        RemoteSubnet, State,
    },
    sets::{Range, ranges},
};

/// Bits of an id in one character of the name of a link. The whole id is in the link's alias.
const BITS: u32 = 5;
/// Characters for an id, as a name has at most 15.
const CHARACTERS: u32 = Guid::SHORT_BITS / BITS;

/// Bits of a route's metric that say the place of its interface: there are no more endpoints than places.
const PLACE_BITS: u32 = 12;
/// The last place that has a metric of its own.
const LAST_PLACE: u32 = (1 << PLACE_BITS) - 1;
const _: () = assert!(
    MOST_OBJECTS == 1_usize << PLACE_BITS,
    "each place has metrics of its own"
);

/// What is wanted for all networks and endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Intent {
    /// The networks, by id.
    pub networks: Vec<NetworkIntent>,
    /// The endpoints that are in a namespace, by id.
    pub endpoints: Vec<EndpointIntent>,
    /// The load balancers, by id.
    pub balancers: Vec<BalancerIntent>,
}

/// What is wanted for a load balancer: connections to its ports are spread over its targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BalancerIntent {
    /// Its id.
    pub id: Guid,
    /// Whether it is of IPv4, or else of IPv6.
    pub is_ipv4: bool,
    /// Its addresses and ports, of that family.
    pub ports: Vec<BalancedPort>,
    /// The source address that endpoints see, in the place of the client's.
    pub source: Option<IpAddr>,
    /// The addresses of its endpoints that are in a namespace.
    pub targets: Vec<IpAddr>,
    /// Those of them that have no way back to clients elsewhere, and see an address of the host in the place of
    /// theirs: no network gives its endpoints a route of IPv6 to everywhere.
    pub one_way: Vec<IpAddr>,
}

/// What is wanted for a network: a bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkIntent {
    /// Its id.
    pub id: Guid,
    /// The name of the bridge.
    pub link: String,
    /// The host's addresses on the bridge, with the lengths of their prefixes; none where the host is not in it.
    pub addresses: Vec<(IpAddr, u8)>,
    /// The subnets.
    pub subnets: Vec<Prefix>,
    /// Whether the host forwards for it and translates addresses. Without it no packet passes between the network and
    /// others.
    pub translated: bool,
    /// The adapter of the host that each endpoint has a link on, in the place of a bridge: then none is made.
    pub adapter: Option<String>,
    /// Tunnels to other hosts.
    pub tunnel: Option<TunnelIntent>,
}

/// What is wanted for an overlay: a port of the bridge by which other hosts are reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelIntent {
    /// The name of the link.
    pub link: String,
    /// The number of the network, the same on all hosts.
    pub number: u32,
    /// The port of UDP, the same on all hosts.
    pub port: u16,
    /// The address of this host.
    pub local: Option<Ipv4Addr>,
    /// The adapter that packets leave by; routes say it where there is none.
    pub adapter: Option<String>,
    /// The hardware address of the bridge, which other hosts send to what they route to this one.
    pub router: Option<Mac>,
    /// The largest packet, in bytes.
    pub mtu: u32,
    /// Endpoints on other hosts.
    pub peers: Vec<PeerIntent>,
    /// Subnets on other hosts.
    pub subnets: Vec<RemoteSubnet>,
}

/// An endpoint on another host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerIntent {
    /// Its hardware address.
    pub mac: Mac,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// The address of its host.
    pub provider: Ipv4Addr,
}

/// The largest packet of an overlay, in bytes: what is left of a usual one beside the headers of VXLAN.
const OVERLAID_MTU: u32 = 1450;

/// What is wanted for an endpoint: a pair of links, one on the bridge and one in the namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointIntent {
    /// Its id.
    pub id: Guid,
    /// Its network.
    pub network: Guid,
    /// Its namespace.
    pub namespace: Guid,
    /// The name of the link on the bridge.
    pub link: String,
    /// The name of the bridge.
    pub bridge: String,
    /// The name of the link in the namespace.
    pub inner: String,
    /// The hardware address of the link in the namespace.
    pub mac: Mac,
    /// The addresses of the link in the namespace.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Routes in the namespace: where they lead, the router, the metric for the kernel.
    pub routes: Vec<(Prefix, IpAddr, u32)>,
    /// Such routes that policies add, and that may go while the endpoint stays.
    pub led_routes: Vec<(Prefix, IpAddr, u32)>,
    /// Whether other endpoints of the network are kept away.
    pub isolated: bool,
    /// The largest packet, in bytes, where the usual is not wanted.
    pub mtu: Option<u32>,
    /// The most that it sends, in bytes a second, where it is limited.
    pub bandwidth: Option<u64>,
    /// What it may send and receive: the first rule that fits decides, and what none fits passes.
    pub access: Vec<AccessRule>,
    /// Tiers of such rules, which come before those, the one that decides first before the others.
    pub tiers: Vec<Tier>,
    /// The addresses of the sets that rules name, by id.
    pub sets: BTreeMap<String, Vec<Range>>,
    /// Proxies that its connections are led to, the first that fits.
    pub proxies: Vec<Proxy>,
    /// Ports of the host that lead to it.
    pub mappings: Vec<Mapping>,
    /// How its connections to the outside are translated.
    pub outbound: Outbound,
    /// Whether a load balancer leads to it.
    pub balanced: bool,
    /// The adapter of the host that its link is on, in the place of a pair: then it is in the namespace alone, and
    /// neither `link` nor `bridge` is made.
    pub adapter: Option<String>,
}

impl EndpointIntent {
    /// Whether it has rules of its own for packets, in the namespace that it is in.
    #[must_use]
    pub const fn has_rules(&self) -> bool {
        self.has_access_rules() || !self.proxies.is_empty()
    }

    /// Whether it has rules for what it may send and receive.
    #[must_use]
    pub const fn has_access_rules(&self) -> bool {
        !self.access.is_empty() || !self.tiers.is_empty()
    }

    /// Whether it has an address of IPv6. One that has none speaks none.
    #[must_use]
    pub fn has_ipv6(&self) -> bool {
        self.addresses.iter().any(|(address, _)| address.is_ipv6())
    }

    /// The address that ports of the host lead to.
    #[must_use]
    pub fn mapped_address(&self) -> Option<IpAddr> {
        let addresses = self.addresses.iter().map(|(address, _)| *address);
        addresses.into_iter().find(IpAddr::is_ipv4)
    }
}

/// What the names of all bridges begin with, of whichever service of the host.
pub const BRIDGES: &str = "hcb";
/// What the names of all links to other hosts begin with.
const TUNNELS: &str = "hcv";
/// What the names of all links of endpoints begin with.
const PORTS: &str = "hce";

fn spelled(id: Guid) -> String {
    const LETTERS: [char; 1 << BITS] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h',
        'j', 'k', 'm', 'n', 'p', 'q', 'r', 's', 't', 'v', 'w', 'x', 'y', 'z',
    ];
    let short = id.short();
    let places = (0..CHARACTERS).rev();
    let letters = places.filter_map(|place| {
        let at = (short >> (place * BITS)) & ((1 << BITS) - 1);
        LETTERS.get(usize::try_from(at).ok()?)
    });
    letters.collect()
}

/// The name of a network's bridge.
#[must_use]
pub fn bridge_name(id: Guid) -> String {
    format!("{BRIDGES}{}", spelled(id))
}

/// The name of a network's link to other hosts.
#[must_use]
pub fn tunnel_name(id: Guid) -> String {
    format!("{TUNNELS}{}", spelled(id))
}

/// The name of an endpoint's link on the bridge.
#[must_use]
pub fn port_name(id: Guid) -> String {
    format!("{PORTS}{}", spelled(id))
}

/// The alias of the links that are made for an object; `owner` tells the services of one host apart.
#[must_use]
pub fn alias(owner: &str, id: Guid) -> String {
    format!("{owner}:{id}")
}

/// The object of `owner` that an alias names.
#[must_use]
pub fn of_alias(owner: &str, alias: &str) -> Option<Guid> {
    alias.strip_prefix(owner)?.strip_prefix(':')?.parse().ok()
}

/// A second name of a bridge, which tells other services of the host a subnet of it: no route does where the host has
/// no address in the network.
#[must_use]
pub fn subnet_name(bridge: &str, subnet: Prefix) -> String {
    format!("{bridge}-{}-{}", subnet.first(), subnet.length())
}

/// The subnet that a second name of a bridge tells.
#[must_use]
pub fn subnet_of_name(name: &str) -> Option<Prefix> {
    let (bridge, subnet) = name.strip_prefix(BRIDGES)?.split_once('-')?;
    let (first, length) = subnet.split_once('-').filter(|_| !bridge.is_empty())?;
    Prefix::around(first.parse().ok()?, length.parse().ok()?)
}

/// Whether a link of this name or alias is one that a service of the host has made, whichever. An alias is that of
/// another service as well, whose name is not known here: a name and the id of an object.
#[must_use]
pub fn is_of_a_service(name: &str, alias: Option<&str>) -> bool {
    let is_named = [BRIDGES, TUNNELS, PORTS]
        .iter()
        .any(|one| name.starts_with(one));
    let is_object = |alias: &str| {
        let parts = alias.rsplit_once(':');
        parts.is_some_and(|(owner, id)| !owner.is_empty() && id.parse::<Guid>().is_ok())
    };
    is_named || alias.is_some_and(is_object)
}

impl State {
    /// What is wanted for all networks and endpoints.
    #[must_use]
    pub fn intent(&self) -> Intent {
        let endpoints = self.endpoints.keys();
        Intent {
            networks: self
                .networks
                .iter()
                .map(|(id, network)| self.intent_of(*id, network))
                .collect(),
            endpoints: endpoints
                .filter_map(|id| self.endpoint_intent(*id))
                .collect(),
            balancers: self.balancer_intents(),
        }
    }

    fn balancer_intents(&self) -> Vec<BalancerIntent> {
        let of = |(id, one): (&Guid, &LoadBalancer)| {
            let endpoints = one.endpoints.iter().filter_map(|id| self.endpoints.get(id));
            let attached = endpoints.filter(|endpoint| endpoint.namespace.is_some());
            let (mut targets, mut one_way) = (Vec::new(), Vec::new());
            for endpoint in attached {
                let Some(address) = endpoint.address_of(one.is_ipv4) else {
                    continue;
                };
                targets.push(address);
                if address.is_ipv6() && !endpoint.terms().have_a_way_out_6() {
                    one_way.push(address);
                }
            }
            BalancerIntent {
                id: *id,
                is_ipv4: one.is_ipv4,
                ports: one.ports.clone(),
                source: one.source,
                targets,
                one_way,
            }
        };
        self.load_balancers.iter().map(of).collect()
    }

    /// What is wanted for a network; `None` when it is gone.
    #[must_use]
    pub fn network_intent(&self, id: Guid) -> Option<NetworkIntent> {
        self.networks
            .get(&id)
            .map(|network| self.intent_of(id, network))
    }

    fn intent_of(&self, id: Guid, network: &Network) -> NetworkIntent {
        NetworkIntent {
            tunnel: self.tunnel_intent(id, network),
            ..network_intent(id, network)
        }
    }

    fn tunnel_intent(&self, id: Guid, network: &Network) -> Option<TunnelIntent> {
        let fabric = network.fabric();
        let tunnel = fabric.tunnel.as_ref()?;
        let peer = |(_, endpoint): (Guid, &Endpoint)| {
            Some(PeerIntent {
                mac: endpoint.mac(),
                addresses: endpoint
                    .leases()
                    .iter()
                    .map(|lease| lease.address)
                    .collect(),
                provider: endpoint.terms().provider?,
            })
        };
        Some(TunnelIntent {
            link: tunnel_name(id),
            number: tunnel.number,
            port: tunnel.port,
            local: tunnel.local,
            adapter: fabric.adapter.clone(),
            router: tunnel.router,
            mtu: OVERLAID_MTU,
            peers: self.endpoints_of(id).filter_map(peer).collect(),
            subnets: tunnel.subnets.clone(),
        })
    }

    /// What is wanted for an endpoint; `None` when it is gone or in no namespace.
    #[must_use]
    pub fn endpoint_intent(&self, id: Guid) -> Option<EndpointIntent> {
        let endpoint = self.endpoints.get(&id)?;
        let namespace_id = endpoint.namespace?;
        let namespace = self.namespaces.get(&namespace_id)?;
        let place = namespace.place(id)?;
        let mut balancers = self.load_balancers.values();
        let network = self.networks.get(&endpoint.network);
        let overlaid = network.is_some_and(|network| network.fabric().tunnel.is_some());
        let mtu = endpoint.terms().mtu;
        Some(EndpointIntent {
            mtu: match overlaid {
                true => Some(mtu.unwrap_or(OVERLAID_MTU)),
                false => mtu,
            },
            balanced: balancers.any(|one| one.endpoints.contains(&id)),
            adapter: network.and_then(uplink),
            sets: network.map_or_else(BTreeMap::new, |network| named(endpoint, network)),
            proxies: network.map_or_else(Vec::new, |network| proxies(endpoint, network)),
            access: network.map_or_else(Vec::new, |network| access(endpoint, network)),
            ..endpoint_intent(id, endpoint, namespace_id, place)
        })
    }

    /// What is wanted for a namespace: its endpoints in their order.
    #[must_use]
    pub fn namespace_intent(&self, id: Guid) -> Vec<EndpointIntent> {
        let namespace = self.namespaces.get(&id);
        let endpoints = namespace
            .into_iter()
            .flat_map(|namespace| namespace.endpoints());
        endpoints
            .filter_map(|endpoint| self.endpoint_intent(endpoint))
            .collect()
    }
}

fn network_intent(id: Guid, network: &Network) -> NetworkIntent {
    let addresses = network
        .pools()
        .iter()
        .filter_map(|pool| Some((pool.gateway?, pool.prefix.length())));
    NetworkIntent {
        id,
        link: bridge_name(id),
        addresses: if network.has_host() {
            addresses.collect()
        } else {
            Vec::new()
        },
        subnets: network.pools().iter().map(|pool| pool.prefix).collect(),
        translated: network.is_translated(),
        adapter: uplink(network),
        tunnel: None,
    }
}

/// The adapter of the host that endpoints of a network have their links on.
fn uplink(network: &Network) -> Option<String> {
    let adapter = network.fabric().adapter.clone();
    adapter.filter(|_| network.is_uplinked())
}

/// The proxies of an endpoint: its own, and behind them those of its network, unless it is one itself.
fn proxies(endpoint: &Endpoint, network: &Network) -> Vec<Proxy> {
    let is_elsewhere = |proxy: &&Proxy| {
        let mut leases = endpoint.leases().iter();
        leases.all(|lease| lease.address != proxy.address)
    };
    let of_network = network.proxies.iter().filter(is_elsewhere);
    let own = endpoint.terms().proxies.iter();
    own.chain(of_network).cloned().collect()
}

/// The rules of an endpoint that are of no tier: its own, and those of its network. Of those with the same priority its
/// own decide first.
fn access(endpoint: &Endpoint, network: &Network) -> Vec<AccessRule> {
    let rules = endpoint.terms().access.iter().chain(&network.access);
    let mut rules: Vec<AccessRule> = rules.cloned().collect();
    rules.sort_by_key(|rule| rule.priority);
    rules
}

/// The sets of a network that rules of an endpoint name.
fn named(endpoint: &Endpoint, network: &Network) -> BTreeMap<String, Vec<Range>> {
    let sets = network.sets();
    let ids = endpoint.terms().sets(network);
    ids.into_iter()
        .filter_map(|id| Some((id.to_owned(), ranges(sets.get(id)?))))
        .collect()
}

/// Routes of the interface at a place of its namespace, with the metrics of the kernel. The place stands behind the
/// metric that was asked for: of two routes with the same one, that of the first interface is preferred. No two
/// interfaces have the same metric, with which a route would take the place of another's and go with it.
fn routes_at(place: usize, routes: &[(Prefix, IpAddr, u16)]) -> Vec<(Prefix, IpAddr, u32)> {
    /// What the kernel makes of no metric.
    const OF_IPV6: u16 = 1024;
    let place = u32::try_from(place).unwrap_or(LAST_PLACE).min(LAST_PLACE);
    let at_place = |(to, router, metric): &(Prefix, IpAddr, u16)| {
        let own = match (metric, router) {
            (0, IpAddr::V6(_)) => OF_IPV6,
            _ => *metric,
        };
        (*to, *router, (u32::from(own) << PLACE_BITS) | place)
    };
    routes.iter().map(at_place).collect()
}

/// Routes for the agent of a virtual machine, whose metrics have 16 bits: those of each of `endpoints`, in their order.
/// As on Windows the metric of the interface, which is its place, is added to what was asked for. Where another route
/// to the same destination has that number, the next one that is free is taken.
#[must_use]
pub fn guest_routes(endpoints: &[EndpointIntent]) -> Vec<Vec<(Prefix, IpAddr, u16)>> {
    let mut taken = BTreeSet::new();
    let mut numbered = |(to, router, metric): &(Prefix, IpAddr, u32)| {
        let sum = (metric >> PLACE_BITS) + (metric & LAST_PLACE);
        let sum = u16::try_from(sum).unwrap_or(u16::MAX);
        let mut candidates = (sum..=u16::MAX).chain((1..sum).rev());
        let free = candidates.find(|number| !taken.contains(&(*to, *number)));
        let number = free.unwrap_or(sum);
        taken.insert((*to, number));
        (*to, *router, number)
    };
    let of = |endpoint: &EndpointIntent| {
        let routes = endpoint.routes.iter().chain(&endpoint.led_routes);
        routes.map(&mut numbered).collect()
    };
    endpoints.iter().map(of).collect()
}

fn endpoint_intent(id: Guid, endpoint: &Endpoint, namespace: Guid, place: usize) -> EndpointIntent {
    let terms = endpoint.terms();
    let led = terms
        .led_routes
        .iter()
        .map(|(to, router)| (*to, *router, 0));
    EndpointIntent {
        id,
        network: endpoint.network(),
        namespace,
        link: port_name(id),
        bridge: bridge_name(endpoint.network()),
        inner: format!("eth{place}"),
        mac: endpoint.mac(),
        addresses: endpoint
            .leases()
            .iter()
            .map(|lease| (lease.address, lease.length))
            .collect(),
        routes: routes_at(place, &terms.routes),
        led_routes: routes_at(place, &led.collect::<Vec<_>>()),
        isolated: endpoint.is_isolated(),
        mtu: terms.mtu,
        bandwidth: terms.bandwidth,
        access: Vec::new(),
        tiers: terms.tiers.clone(),
        sets: BTreeMap::new(),
        proxies: Vec::new(),
        mappings: terms.mappings.clone(),
        outbound: terms.outbound.clone(),
        balanced: false,
        adapter: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::Surroundings;

    const NAMESPACE: Guid = Guid(10);

    fn v2(mut document: Value) -> String {
        document["SchemaVersion"] = json!({"Major": 2, "Minor": 0});
        document.to_string()
    }

    /// A namespace with an endpoint of one network for each of these metrics of a route to everywhere.
    fn state(metrics: &[u16]) -> State {
        let mut state = State::default();
        let network = v2(json!({"Ipams": [{"Subnets": [{"IpAddressPrefix": "10.0.0.0/24"}]}]}));
        state
            .create_network(Guid(1), &network, &Surroundings::default())
            .unwrap();
        state.create_namespace(NAMESPACE, "").unwrap();
        for (id, metric) in (100..).zip(metrics) {
            let route =
                json!({"NextHop": "10.0.0.1", "DestinationPrefix": "0.0.0.0/0", "Metric": metric});
            let endpoint = v2(json!({ "Routes": [route] }));
            state.create_endpoint(Guid(1), Guid(id), &endpoint).unwrap();
            let settings = json!({"EndpointId": Guid(id)});
            let request =
                json!({"ResourceType": "Endpoint", "RequestType": "Add", "Settings": settings});
            state
                .modify_namespace(NAMESPACE, &request.to_string())
                .unwrap();
        }
        state
    }

    fn numbers<T: Copy>(routes: &[(Prefix, IpAddr, T)]) -> Vec<T> {
        routes.iter().map(|(_, _, metric)| *metric).collect()
    }

    #[test]
    fn no_route_has_the_metric_of_another_interface() {
        let mut state = state(&[1, 0, 0, u16::MAX]);
        let before = state.namespace_intent(NAMESPACE);
        let metrics: Vec<u32> = (before.iter())
            .flat_map(|endpoint| numbers(&endpoint.routes))
            .collect();
        assert_eq!(metrics, [1_u32 << 12, 1, 2, (0xffff << 12) | 3]);
        // What eth1 takes with it is its own.
        state.delete_endpoint(Guid(101)).unwrap();
        let after = state.namespace_intent(NAMESPACE);
        assert_eq!(after, [&before[..1], &before[2..]].concat());
    }

    #[test]
    fn no_route_of_a_guest_has_the_metric_of_another() {
        let of = |metrics: &[u16]| {
            let routes = guest_routes(&state(metrics).namespace_intent(NAMESPACE));
            routes.concat()
        };
        assert_eq!(numbers(&of(&[0, 0, 5])), [0, 1, 7]);
        assert_eq!(numbers(&of(&[1, 0, 0])), [1, 2, 3]);
        let most = u16::MAX;
        assert_eq!(numbers(&of(&[most, most, 0])), [most, most - 1, 2]);
    }

    #[test]
    fn routes_to_other_destinations_and_of_ipv6_have_the_sum() {
        let route = |to: &str, router: &str, metric| -> (Prefix, IpAddr, u16) {
            (to.parse().unwrap(), router.parse().unwrap(), metric)
        };
        let routes = [
            route("10.1.0.0/16", "10.0.0.1", 1),
            route("10.2.0.0/16", "10.0.0.1", 1),
            route("fd01::/64", "fd00::1", 0),
        ];
        let mut endpoint = state(&[0]).namespace_intent(NAMESPACE).remove(0);
        endpoint.routes = routes_at(2, &routes);
        assert_eq!(
            numbers(&endpoint.routes),
            [(1_u32 << 12) | 2, (1 << 12) | 2, (1024 << 12) | 2]
        );
        assert_eq!(numbers(&guest_routes(&[endpoint])[0]), [3, 3, 1026]);
    }
}
