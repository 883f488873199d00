//! What a state asks of the kernel, as a plain value: links, addresses, routes, and what the rules are about.
//!
//! An engine compares this with what it finds and makes the difference. Nothing here says how: rules are given as what
//! they are to achieve, and an engine writes the table as a whole.

use std::net::IpAddr;

use crate::{
    access::AccessRule,
    address::{Mac, Prefix},
    guid::Guid,
    model::{Endpoint, Mapping, Network, State},
};

/// Bits of an id in one character of the name of a link. The whole id is in the link's alias.
const BITS: u32 = 5;
/// Characters for an id, as a name has at most 15.
const CHARACTERS: u32 = Guid::SHORT_BITS / BITS;

/// What is wanted for all networks and endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Intent {
    /// The networks, by id.
    pub networks: Vec<NetworkIntent>,
    /// The endpoints that are in a namespace, by id.
    pub endpoints: Vec<EndpointIntent>,
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
}

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
    /// Routes in the namespace: where they lead, the router, the metric.
    pub routes: Vec<(Prefix, IpAddr, u16)>,
    /// Whether other endpoints of the network are kept away.
    pub isolated: bool,
    /// The largest packet, in bytes, where the usual is not wanted.
    pub mtu: Option<u32>,
    /// The most that it sends, in bytes a second, where it is limited.
    pub bandwidth: Option<u64>,
    /// What it may send and receive: the first rule that fits decides, and what none fits passes.
    pub access: Vec<AccessRule>,
    /// Ports of the host that lead to it.
    pub mappings: Vec<Mapping>,
}

impl EndpointIntent {
    /// The address that ports of the host lead to.
    #[must_use]
    pub fn mapped_address(&self) -> Option<IpAddr> {
        let addresses = self.addresses.iter().map(|(address, _)| *address);
        addresses.into_iter().find(IpAddr::is_ipv4)
    }
}

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
    format!("hcb{}", spelled(id))
}

/// The name of an endpoint's link on the bridge.
#[must_use]
pub fn port_name(id: Guid) -> String {
    format!("hce{}", spelled(id))
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

impl State {
    /// What is wanted for all networks and endpoints.
    #[must_use]
    pub fn intent(&self) -> Intent {
        let endpoints = self.endpoints.keys();
        Intent {
            networks: self
                .networks
                .iter()
                .map(|(id, network)| network_intent(*id, network))
                .collect(),
            endpoints: endpoints
                .filter_map(|id| self.endpoint_intent(*id))
                .collect(),
        }
    }

    /// What is wanted for a network; `None` when it is gone.
    #[must_use]
    pub fn network_intent(&self, id: Guid) -> Option<NetworkIntent> {
        self.networks
            .get(&id)
            .map(|network| network_intent(id, network))
    }

    /// What is wanted for an endpoint; `None` when it is gone or in no namespace.
    #[must_use]
    pub fn endpoint_intent(&self, id: Guid) -> Option<EndpointIntent> {
        let endpoint = self.endpoints.get(&id)?;
        let namespace_id = endpoint.namespace?;
        let namespace = self.namespaces.get(&namespace_id)?;
        let place = namespace.place(id)?;
        Some(endpoint_intent(id, endpoint, namespace_id, place))
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
    }
}

/// Routes of the interface at a place of its namespace, with the metrics of the kernel. As on Windows that of the
/// interface is added: so the first interface is preferred, and no route takes the place of another interface's, which
/// would go with it.
fn routes_at(place: usize, routes: &[(Prefix, IpAddr, u16)]) -> Vec<(Prefix, IpAddr, u16)> {
    /// What the kernel makes of no metric.
    const OF_IPV6: u16 = 1024;
    let place = u16::try_from(place).unwrap_or(u16::MAX);
    let at_place = |(to, router, metric): &(Prefix, IpAddr, u16)| {
        let own = match (metric, router) {
            (0, IpAddr::V6(_)) => OF_IPV6,
            _ => *metric,
        };
        (*to, *router, own.saturating_add(place))
    };
    routes.iter().map(at_place).collect()
}

fn endpoint_intent(id: Guid, endpoint: &Endpoint, namespace: Guid, place: usize) -> EndpointIntent {
    let terms = endpoint.terms();
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
        isolated: endpoint.is_isolated(),
        mtu: terms.mtu,
        bandwidth: terms.bandwidth,
        access: terms.access.clone(),
        mappings: terms.mappings.clone(),
    }
}
