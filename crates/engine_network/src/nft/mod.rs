//! The rules: what they are about as a value ([`Rules`]), and the tables that say it to nfnetlink.
//!
//! 1. [`Rules`] is made of an intent, purely. 2. `tables` writes it as one transaction, which takes the place of what
//!    was there: either all of it holds or nothing changed; `changes` writes endpoints that come and go. 3.
//!    `expression` has the words that rules are made of. 4. `contents` tells whether all that was written is still
//!    there. 5. `access` has the rules of single endpoints, in their namespaces. 6. `cards` has those of single cards
//!    of virtual machines, at their ports. 7. `balancers` has those of load balancers. 8. `leaving` holds endpoints on
//!    adapters of the host to their addresses, in their namespaces. 9. `overlays` keeps hosts away that a network was
//!    not told of. 10. `outbound` translates what single endpoints send to the outside. 11. `proxies` leads connections
//!    of endpoints to proxies, in their namespaces. 12. `loopback` keeps in a namespace what is for its loopback.
//!    13. `spreading` limits to how many neighbours of the host an endpoint begins to speak. 14. `reports` are those of
//!    too large packets. 15. `pieces` are packets that are put together on the host.
//!    16. `masquerading` gives connections the host's address, and `lending` one of its ports. 17. `judging` decides
//!    what endpoints receive from others by ports of the host. 18. `keeping` has what rules noted stay where they are
//!    written anew. 19. `isolating` keeps isolated endpoints apart where the host would route between them.
//!
//! There are two tables, besides those of single endpoints and cards. In the one of family `inet` connections are
//! translated and forwarded, in the one of family `bridge` each port is held to its own addresses. Nothing of a rule is
//! ever written down: the records give the intent again, and writing the tables anew takes a fraction of a millisecond.
//!
//! The tables have no owner (flag `owner`): such a table ends with the socket of its owner, so every restart of the
//! service would cut published ports and lift the hold on addresses. From Linux 6.9 on `persist` mends that; until all
//! kernels have it, rules that others flushed come back with the next check of the service, within 15 s.

mod access;
mod balancers;
mod cards;
mod changes;
mod contents;
mod expression;
mod isolating;
mod judging;
mod keeping;
mod leaving;
mod lending;
mod loopback;
mod masquerading;
mod outbound;
mod overlays;
mod pieces;
mod proxies;
mod reports;
mod spreading;
mod tables;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
};

use hcn::{
    Mac, Mapping, Outbound, Prefix,
    intent::{BalancerIntent, EndpointIntent, Intent},
};

pub(crate) use access::{keep as keep_access, set as set_access};
pub(crate) use cards::{are_there as card_rules_are_there, set as set_card_rules};
pub(crate) use changes::{InForce, are_there, write};
pub(crate) use contents::guarded_by_others;
pub(crate) use leaving::{hold, is_held};
pub(crate) use loopback::keep_inside as keep_loopback_inside;
pub(crate) use tables::remove;

/// What the rules are about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Bridges of networks that the host forwards for.
    pub(crate) open: BTreeSet<String>,
    /// Bridges of other networks: nothing is forwarded from or to them.
    pub(crate) closed: BTreeSet<String>,
    /// Bridges of networks that the host is not in: nothing reaches it from there.
    pub(crate) hostless: BTreeSet<String>,
    /// Subnets whose addresses are translated.
    pub(crate) subnets: BTreeSet<Prefix>,
    /// Those of IPv6, where a load balancer leads connections of that: nothing else of it is translated.
    pub(crate) subnets_6: BTreeSet<Prefix>,
    /// Published ports of all addresses of the host, and where they lead.
    pub(crate) published: BTreeMap<(u8, u16), (Ipv4Addr, u16)>,
    /// Published ports of one address of the host, and where they lead.
    pub(crate) published_at: BTreeMap<(Ipv4Addr, u8, u16), (Ipv4Addr, u16)>,
    /// Endpoints whose connections to the outside are translated in a way of their own.
    pub(crate) outbound: Vec<(Ipv4Addr, Outbound)>,
    /// Load balancers that have somewhere to lead.
    pub(crate) balancers: Vec<BalancerIntent>,
    /// The addresses of each port of a bridge.
    pub(crate) ports: BTreeMap<String, (Mac, BTreeSet<IpAddr>)>,
    /// The bridge and each address of isolated endpoints.
    pub(crate) isolated: BTreeSet<(String, IpAddr)>,
    /// Links to other hosts.
    pub(crate) tunnels: BTreeSet<String>,
    /// Port and number of each, and the hosts that may speak to it.
    pub(crate) speakers: BTreeMap<(u16, u32), BTreeSet<Ipv4Addr>>,
    /// Endpoints that tell others from each other which reach them by ports of the host.
    pub(crate) judged: Vec<EndpointIntent>,
    /// Interfaces that forward only because of us: what comes in there and is not for our networks goes nowhere.
    pub(crate) guarded: BTreeSet<String>,
    /// Ports that endpoints get with the host's address. What writes rules fills them in: they are the kernel's to say.
    pub(crate) lent: lending::Lent,
}

/// What an endpoint may send from. Without an address of IPv6 it has none on its link either.
fn own(endpoint: &EndpointIntent) -> (Mac, BTreeSet<IpAddr>) {
    let addresses = endpoint.addresses.iter().map(|(address, _)| *address);
    let on_link = endpoint
        .has_ipv6()
        .then(|| endpoint.mac.link_local().into());
    (endpoint.mac, addresses.chain(on_link).collect())
}

/// The addresses of an endpoint whose connections to the outside are translated in a way of their own.
fn outbound(endpoint: &EndpointIntent) -> Vec<(Ipv4Addr, Outbound)> {
    if endpoint.outbound == Outbound::default() {
        return Vec::new();
    }
    let addresses = endpoint
        .addresses
        .iter()
        .filter_map(|(address, _)| match address {
            IpAddr::V4(address) => Some((*address, endpoint.outbound.clone())),
            IpAddr::V6(_) => None,
        });
    addresses.collect()
}

impl Rules {
    /// The rules of an intent. `guarded` are interfaces that forward only because of us.
    #[must_use]
    pub fn of(intent: &Intent, guarded: BTreeSet<String>) -> Self {
        let balancers = intent.balancers.iter();
        let balancers = balancers.filter(|balancer| !balancer.targets.is_empty());
        let mut rules = Self {
            guarded,
            balancers: balancers.cloned().collect(),
            ..Self::default()
        };
        for network in intent.networks.iter().filter(|one| one.adapter.is_none()) {
            let bridges = if network.translated {
                &mut rules.open
            } else {
                &mut rules.closed
            };
            bridges.insert(network.link.clone());
            if let Some(tunnel) = &network.tunnel {
                rules.tunnels.insert(tunnel.link.clone());
                let peers = tunnel.peers.iter().map(|peer| peer.provider);
                let subnets = tunnel.subnets.iter().map(|subnet| subnet.provider);
                let place = (tunnel.port, tunnel.number);
                rules.speakers.insert(place, peers.chain(subnets).collect());
            }
            if network.addresses.is_empty() {
                rules.hostless.insert(network.link.clone());
            }
            // Load balancers lead to endpoints of an overlay as well, from it and from the host.
            let is_balanced = network.tunnel.is_some() && !network.addresses.is_empty();
            if network.translated || is_balanced {
                let of = |ipv4: bool| {
                    let subnets = network.subnets.iter().copied();
                    subnets.filter(move |subnet| subnet.is_ipv4() == ipv4)
                };
                rules.subnets.extend(of(true));
                if rules.leads_6() {
                    rules.subnets_6.extend(of(false));
                }
            }
        }
        for endpoint in intent.endpoints.iter().filter(|one| one.adapter.is_none()) {
            rules.ports.insert(endpoint.link.clone(), own(endpoint));
            rules.isolated.extend(isolating::places(endpoint));
            rules.outbound.extend(outbound(endpoint));
            if judging::is_needed(endpoint) {
                rules.judged.push(endpoint.clone());
            }
            if let Some(IpAddr::V4(to)) = endpoint.mapped_address() {
                endpoint
                    .mappings
                    .iter()
                    .for_each(|mapping| rules.publish(mapping, to));
            }
        }
        rules
    }

    /// Whether a load balancer leads connections of IPv6.
    pub(crate) fn leads_6(&self) -> bool {
        self.balancers.iter().any(|balancer| !balancer.is_ipv4)
    }

    fn publish(&mut self, mapping: &Mapping, to: Ipv4Addr) {
        let (protocol, port) = (mapping.protocol.number(), mapping.external);
        let target = (to, mapping.internal);
        match mapping.address {
            None => drop(self.published.insert((protocol, port), target)),
            Some(IpAddr::V4(at)) => drop(self.published_at.insert((at, protocol, port), target)),
            // The model refuses ports of IPv6.
            Some(IpAddr::V6(_)) => {}
        }
    }
}
