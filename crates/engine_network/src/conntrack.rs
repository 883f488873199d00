//! Connections that the kernel remembers. Those of an address that is given back are forgotten: a datagram of a peer
//! that goes on would be led to the former endpoint by what is remembered, whatever the rules say now. So are datagrams
//! to a port of the host that leads elsewhere from now on, or did not lead anywhere before.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
};

use hcn::{
    Prefix, Protocol,
    intent::{Intent, NetworkIntent},
};
use hcs_schema::Failure;
use rustix::io::Errno;

use crate::{
    failure::failed,
    host::Host,
    link,
    netlink::{
        Batch, NetlinkError, Socket, flag,
        parse::{Attributes, Message},
    },
    nft::Rules,
};

const SUBSYSTEM: u16 = 1 << 8;
const GET: u16 = SUBSYSTEM | 1;
const DELETE: u16 = SUBSYSTEM | 2;

/// Attributes of a connection (`linux/netfilter/nfnetlink_conntrack.h`).
const ORIGINAL: u16 = 1;
const REPLY: u16 = 2;
const ZONE: u16 = 18;
const ADDRESSES: u16 = 1;
const SOURCE_4: u16 = 1;
const DESTINATION_4: u16 = 2;
const SOURCE_6: u16 = 3;
const DESTINATION_6: u16 = 4;
const PROTOCOL: u16 = 2;
const PROTOCOL_NUMBER: u16 = 1;
const SOURCE_PORT: u16 = 2;
const DESTINATION_PORT: u16 = 3;

const DOING: &str = "forgetting connections of an endpoint";
const NEEDS: &str = "nf_conntrack with netlink (nf_conntrack_netlink)";

/// What names a connection to the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Connection {
    family: u8,
    original: Vec<u8>,
    zone: Option<Vec<u8>>,
    /// All addresses of both directions.
    addresses: Vec<IpAddr>,
    /// What has begun it, and what answers.
    sources: Vec<IpAddr>,
    /// Of datagrams of UDP: where they were sent to, and where answers come from.
    datagrams: Option<[(IpAddr, u16); 2]>,
}

/// Forgets the connections from and to `addresses`. Called when they are given back, before they are given again.
///
/// # Errors
/// The kernel does not tell its connections, or keeps one.
pub fn forget(host: &mut Host, addresses: &[IpAddr]) -> Result<(), Failure> {
    // Each takes the kernel a look at its table, which costs an eighth of a list of that.
    const FEW: usize = 4;
    let done = match addresses.len() <= FEW {
        true => forget_each(&mut host.filter, addresses),
        false => Ok(false),
    };
    let forgotten = match done {
        Ok(false) => forget_listed(&mut host.filter, addresses),
        done => done.map(drop),
    };
    forgotten.map_err(|error| failed(DOING, NEEDS, &error))
}

/// Has the kernel look for connections that one of `addresses` has begun or answers. Answers whether it can do so:
/// Linux can from 6.12 on, and before says that a connection is not named as a whole.
fn forget_each(socket: &mut Socket, addresses: &[IpAddr]) -> Result<bool, NetlinkError> {
    for address in addresses {
        let mut batch = Batch::default();
        for direction in [ORIGINAL, REPLY] {
            delete_from(&mut batch, direction, *address);
        }
        match socket.run(batch) {
            Err(error) if matches!(error.errno(), Some(Errno::INVAL | Errno::OPNOTSUPP)) => {
                return Ok(false);
            }
            done => done?,
        }
    }
    Ok(true)
}

/// Connections that have this source in one direction.
fn delete_from(batch: &mut Batch, direction: u16, address: IpAddr) {
    const FILTER: u16 = 25;
    const IS_FROM: u32 = 1;
    // Without a version the family would not count.
    const VERSION: u8 = 1;
    let source = if address.is_ipv4() {
        SOURCE_4
    } else {
        SOURCE_6
    };
    let header = [link::family(address), VERSION, 0, 0];
    let what = format!("forgetting connections of {address}");
    batch.message(what, DELETE, flag::ACK, &header, |batch| {
        batch.nest(direction, |batch| {
            batch.nest(ADDRESSES, |batch| {
                batch.bytes(source, &link::octets(address));
            });
        });
        batch.nest(FILTER, |batch| {
            // Of each direction the filter has what is compared, under the same number.
            batch.number(direction, IS_FROM);
        });
    });
}

fn forget_listed(socket: &mut Socket, addresses: &[IpAddr]) -> Result<(), NetlinkError> {
    let mut all = connections(socket)?;
    all.retain(|one| {
        let mut both = one.addresses.iter();
        both.any(|address| addresses.contains(address))
    });
    delete(socket, &all)
}

/// Forgets the connections that addresses in the subnets of networks have begun or answer which no endpoint has. A
/// service that was killed may have given such an address back, and not come to forget them. Called when the rules of
/// `intent` are written.
///
/// # Errors
/// The kernel does not tell its connections, or keeps one.
pub fn forget_unused(host: &mut Host, intent: &Intent) -> Result<(), Failure> {
    let unused = Unused::of(intent);
    if unused.subnets.is_empty() {
        return Ok(());
    }
    let forgotten = connections(&mut host.filter).and_then(|mut all| {
        all.retain(|one| unused.is_of(one));
        delete(&mut host.filter, &all)
    });
    forgotten.map_err(|error| failed(DOING, NEEDS, &error))
}

/// Addresses that could be endpoints' and are not.
struct Unused {
    subnets: Vec<Prefix>,
    used: BTreeSet<IpAddr>,
}

impl Unused {
    fn of(intent: &Intent) -> Self {
        // The subnet of an adapter is that of its network, where the host and others have addresses of their own. Where
        // the host has no address nothing of it comes to the host, and another network may have the same subnet.
        let is_of_host = |one: &&NetworkIntent| one.adapter.is_none() && !one.addresses.is_empty();
        let networks = intent.networks.iter().filter(is_of_host);
        let mut unused = Self {
            subnets: Vec::new(),
            used: BTreeSet::new(),
        };
        for network in networks {
            unused.subnets.extend(&network.subnets);
            let of_host = network.addresses.iter().map(|(address, _)| *address);
            let peers = network.tunnel.iter().flat_map(|tunnel| &tunnel.peers);
            let elsewhere = peers.flat_map(|peer| peer.addresses.iter().copied());
            unused.used.extend(of_host.chain(elsewhere));
        }
        for endpoint in &intent.endpoints {
            let own = endpoint.addresses.iter().map(|(address, _)| *address);
            let seen_as = endpoint.outbound.address.map(IpAddr::V4);
            unused.used.extend(own.chain(seen_as));
        }
        for balancer in &intent.balancers {
            let fronts = balancer.ports.iter().filter_map(|port| port.address);
            unused.used.extend(fronts.chain(balancer.source));
        }
        unused
    }

    /// Whether such an address has begun a connection, or answers. One that it is sent to may be that of a load
    /// balancer, and one that answers go to that which an endpoint is seen with.
    fn is_of(&self, connection: &Connection) -> bool {
        connection.sources.iter().any(|source| self.has(*source))
    }

    fn has(&self, address: IpAddr) -> bool {
        let mut subnets = self.subnets.iter();
        !self.used.contains(&address) && subnets.any(|subnet| subnet.contains(address))
    }
}

/// Forgets where datagrams to ports of the host went, where these lead elsewhere with `after` than with `before`.
/// Called when the rules of `after` are written.
///
/// # Errors
/// The kernel does not tell its connections or addresses, or keeps a connection.
pub fn forget_misled(host: &mut Host, before: &Intent, after: &Intent) -> Result<(), Failure> {
    let changed = Changed::of(before, after);
    if changed.is_empty() {
        return Ok(());
    }
    let forgotten = link::addresses(&mut host.route).and_then(|addresses| {
        let own: BTreeSet<IpAddr> = addresses.into_iter().map(|one| one.address).collect();
        let all = changed.connections(&mut host.filter)?.into_iter();
        let misled = all.filter(|one| one.datagrams.is_some_and(|ways| changed.misled(&own, ways)));
        delete(&mut host.filter, &misled.collect::<Vec<_>>())
    });
    forgotten.map_err(|error| failed(DOING, NEEDS, &error))
}

/// A port of UDP at an address, or at all of the host of IPv4 (`true`) or IPv6.
type Place = (Result<IpAddr, bool>, u16);

/// Ports of UDP of load balancers: the endpoints that they lead to, and the port of these.
type Balanced = BTreeMap<Place, (Vec<IpAddr>, u16)>;

fn balanced(rules: &Rules) -> Balanced {
    let all = rules.balancers.iter().flat_map(|balancer| {
        let ports = balancer.ports.iter();
        let ports = ports.filter(|port| port.protocol == Protocol::Udp);
        ports.map(move |port| {
            let leads = (balancer.targets.clone(), port.internal);
            let address = port.address.ok_or(port.is_ipv4);
            ((address, port.external), leads)
        })
    });
    all.collect()
}

/// Ports of UDP that lead elsewhere than before: of one address, or of all of the host.
struct Changed {
    after: Rules,
    balanced: Balanced,
    places: BTreeSet<Place>,
    /// What load balancers have or had at single addresses, which need not be the host's.
    fronts: BTreeSet<(IpAddr, u16)>,
}

impl Changed {
    fn of(before: &Intent, after: &Intent) -> Self {
        const UDP: u8 = Protocol::Udp.number();
        let [before, after] = [before, after].map(|intent| Rules::of(intent, BTreeSet::default()));
        let all = before.published.keys().chain(after.published.keys());
        let differs = |key: &&(u8, u16)| before.published.get(key) != after.published.get(key);
        let everywhere = all.filter(differs).filter(|(protocol, _)| *protocol == UDP);
        let mut places: BTreeSet<Place> = everywhere.map(|(_, port)| (Err(true), *port)).collect();
        let all = before.published_at.keys().chain(after.published_at.keys());
        let differs = |key: &&(Ipv4Addr, u8, u16)| {
            before.published_at.get(key) != after.published_at.get(key)
        };
        let at = all
            .filter(differs)
            .filter(|(_, protocol, _)| *protocol == UDP);
        places.extend(at.map(|(address, _, port)| (Ok(IpAddr::V4(*address)), *port)));
        let (was, balanced) = (balanced(&before), balanced(&after));
        let mut fronts = BTreeSet::new();
        for key in was.keys().chain(balanced.keys()) {
            let (address, port) = *key;
            fronts.extend(address.map(|address| (address, port)));
            if was.get(key) != balanced.get(key) {
                places.insert(*key);
            }
        }
        Self {
            after,
            balanced,
            places,
            fronts,
        }
    }

    fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The connections that may be misled, and perhaps others. Of few ports the kernel is asked for these alone.
    fn connections(&self, socket: &mut Socket) -> Result<Vec<Connection>, NetlinkError> {
        /// Each takes the kernel a look at its table; to give all of it takes some eight times as long.
        const FEW: usize = 4;
        let ports = (self.places.iter()).map(|(place, port)| {
            let ipv4 = place.map_or_else(|of_host| of_host, |address| address.is_ipv4());
            (ipv4, *port)
        });
        let ports: BTreeSet<(bool, u16)> = ports.collect();
        if ports.len() > FEW {
            return connections(socket);
        }
        let mut all = Vec::new();
        for (ipv4, port) in ports {
            all.extend(datagrams_to(socket, ipv4, port)?);
        }
        Ok(all)
    }

    /// Whether datagrams to one of the host's `own` addresses, or to one of a load balancer, go another way than they
    /// are to.
    fn misled(&self, own: &BTreeSet<IpAddr>, [to, from]: [(IpAddr, u16); 2]) -> bool {
        let (address, port) = to;
        // Nothing of IPv6 that is sent to the loopback leads elsewhere.
        let is_own = match address.is_loopback() {
            true => address.is_ipv4(),
            false => own.contains(&address),
        };
        let mut places = [Ok(address), Err(address.is_ipv4())].into_iter();
        let has_changed = places.any(|place| self.places.contains(&(place, port)));
        let is_meant = is_own || self.fronts.contains(&to);
        is_meant && has_changed && !self.leads(is_own, to, from)
    }

    /// Whether datagrams `to` an address and a port go to `from`, where their answers come from. As in the rules, what
    /// is said of one address comes before what is said of all of the host.
    fn leads(&self, is_own: bool, to: (IpAddr, u16), from: (IpAddr, u16)) -> bool {
        const UDP: u8 = Protocol::Udp.number();
        let (address, port) = to;
        let is_one = |(to, port): &(Ipv4Addr, u16)| (IpAddr::V4(*to), *port) == from;
        let is_any =
            |(targets, port): &(Vec<IpAddr>, u16)| *port == from.1 && targets.contains(&from.0);
        let (published_at, published) = match address {
            IpAddr::V4(address) => (
                self.after.published_at.get(&(address, UDP, port)),
                self.after.published.get(&(UDP, port)).filter(|_| is_own),
            ),
            IpAddr::V6(_) => (None, None),
        };
        let of_host = self.balanced.get(&(Err(address.is_ipv4()), port));
        (published_at.map(is_one))
            .or_else(|| self.balanced.get(&(Ok(address), port)).map(is_any))
            .or_else(|| published.map(is_one))
            .or_else(|| of_host.filter(|_| is_own).map(is_any))
            .unwrap_or(to == from)
    }
}

/// Connections of UDP that were begun to a port, of a family. A kernel before Linux 5.8 does not read the filter and
/// gives all of the family.
fn datagrams_to(
    socket: &mut Socket,
    ipv4: bool,
    port: u16,
) -> Result<Vec<Connection>, NetlinkError> {
    const FILTER: u16 = 25;
    const IS_PROTOCOL: u32 = 1 << 3;
    const IS_TO_PORT: u32 = 1 << 5;
    let header = [link::family_of(ipv4), 0, 0, 0];
    socket.dump_of(
        "listing connections to a port",
        GET,
        &header,
        |batch| {
            batch.nest(ORIGINAL, |batch| {
                batch.nest(PROTOCOL, |batch| {
                    batch.bytes(PROTOCOL_NUMBER, &[Protocol::Udp.number()]);
                    batch.bytes(DESTINATION_PORT, &port.to_be_bytes());
                });
            });
            batch.nest(FILTER, |batch| {
                batch.number(ORIGINAL, IS_PROTOCOL | IS_TO_PORT);
            });
        },
        read_connection,
    )
}

fn connections(socket: &mut Socket) -> Result<Vec<Connection>, NetlinkError> {
    socket.dump("listing connections", GET, &[0; 4], read_connection)
}

/// A container can begin very many connections, so there is one round trip for many.
fn delete(socket: &mut Socket, connections: &[Connection]) -> Result<(), NetlinkError> {
    // The kernel queues each that has ended by itself as an error, with the request in it; and where the service is not
    // root of the host, its socket has the usual room (net.core.rmem_default), for some 200.
    const MOST: usize = 128;
    for some in connections.chunks(MOST) {
        let mut batch = Batch::default();
        for (left, one) in (0..some.len()).rev().zip(some) {
            // The last is acknowledged: the kernel has carried out those before it.
            let flags = if left == 0 { flag::ACK } else { 0 };
            delete_one(&mut batch, flags, one);
        }
        // One that is not there has ended by itself.
        socket.run_but(batch, Some(Errno::NOENT))?;
    }
    Ok(())
}

fn delete_one(batch: &mut Batch, flags: u16, one: &Connection) {
    let header = [one.family, 0, 0, 0];
    let what = "forgetting a connection";
    batch.message(what, DELETE, flags, &header, |batch| {
        batch.nest(ORIGINAL, |batch| {
            batch.raw(&one.original);
        });
        if let Some(zone) = &one.zone {
            batch.bytes(ZONE, zone);
        }
    });
}

pub(crate) fn read_connection(message: &Message<'_>) -> Option<Connection> {
    let attributes = Attributes::behind(message.body, 4).ok()?;
    let original = attributes.find(ORIGINAL)?;
    let directions = [Some(original), attributes.find(REPLY)];
    let all = |kinds: &[u16]| {
        let of = |tuple| {
            let addresses = Attributes::of(tuple).find(ADDRESSES).unwrap_or_default();
            let addresses = Attributes::of(addresses);
            let kinds = kinds.iter();
            kinds.filter_map(move |kind| address(addresses.find(*kind)?))
        };
        let directions = directions.into_iter().flatten();
        directions.flat_map(of).collect::<Vec<_>>()
    };
    let datagrams = || {
        let sent = way(original, [DESTINATION_4, DESTINATION_6], DESTINATION_PORT)?;
        let answered = way(attributes.find(REPLY)?, [SOURCE_4, SOURCE_6], SOURCE_PORT)?;
        Some([sent, answered])
    };
    Some(Connection {
        family: *message.body.first()?,
        original: original.to_vec(),
        zone: attributes.find(ZONE).map(<[u8]>::to_vec),
        addresses: all(&[SOURCE_4, DESTINATION_4, SOURCE_6, DESTINATION_6]),
        sources: all(&[SOURCE_4, SOURCE_6]),
        datagrams: datagrams(),
    })
}

/// An address and a port of one direction of datagrams of UDP.
fn way(tuple: &[u8], addresses: [u16; 2], port: u16) -> Option<(IpAddr, u16)> {
    let tuple = Attributes::of(tuple);
    let protocol = Attributes::of(tuple.find(PROTOCOL)?);
    if protocol.find(PROTOCOL_NUMBER)? != [Protocol::Udp.number()] {
        return None;
    }
    let inner = Attributes::of(tuple.find(ADDRESSES)?);
    let mut found = addresses
        .into_iter()
        .filter_map(|kind| address(inner.find(kind)?));
    let port: [u8; 2] = protocol.find(port)?.try_into().ok()?;
    Some((found.next()?, u16::from_be_bytes(port)))
}

fn address(value: &[u8]) -> Option<IpAddr> {
    let v4: Result<[u8; 4], _> = value.try_into();
    let v6: Result<[u8; 16], _> = value.try_into();
    v4.map(IpAddr::from).or_else(|_| v6.map(IpAddr::from)).ok()
}

#[cfg(test)]
mod tests {
    use hcn::{BalancedPort, Guid, Spread, State, Surroundings, intent::BalancerIntent};
    use serde_json::{Value, json};

    use super::*;

    /// The address of a load balancer, that of the host, and those of two endpoints: of IPv4, and of IPv6.
    const ADDRESSES: [[&str; 4]; 2] = [
        ["192.0.2.50", "198.51.100.1", "10.0.0.2", "10.0.0.3"],
        ["fd99::50", "2001:db8::1", "fd00::2", "fd00::3"],
    ];

    fn intent(is_ipv4: bool, address: Option<IpAddr>, targets: &[IpAddr]) -> Intent {
        let port = BalancedPort {
            is_ipv4,
            address,
            protocol: Protocol::Udp,
            external: 53,
            internal: 5353,
            spread: Spread::Connection,
        };
        let balancer = BalancerIntent {
            id: Guid(5),
            is_ipv4,
            ports: vec![port],
            source: None,
            targets: targets.to_vec(),
            one_way: Vec::new(),
        };
        Intent {
            balancers: vec![balancer],
            ..Intent::default()
        }
    }

    /// Whether datagrams to port 53 of `to` are forgotten, whose answers come from there.
    fn misled(before: &Intent, after: &Intent, to: IpAddr, from: (IpAddr, u16)) -> bool {
        let own = ADDRESSES.map(|[_, host, ..]| host.parse().unwrap());
        let own = own.into_iter().chain(["::1".parse().unwrap()]);
        let ways = [(to, 53), from];
        Changed::of(before, after).misled(&own.collect(), ways)
    }

    /// A state with a network for each of these, an endpoint 10.0.0.2 that is seen as 10.0.0.60, and a load balancer.
    fn with(networks: &[Value]) -> Intent {
        let v2 = |mut document: Value| {
            document["SchemaVersion"] = json!({"Major": 2, "Minor": 0});
            document.to_string()
        };
        let mut state = State::default();
        for (id, network) in (1..).zip(networks) {
            let surroundings = Surroundings::default();
            let id = Guid(id << 80);
            state
                .create_network(id, &v2(network.clone()), &surroundings)
                .unwrap();
        }
        let outbound = json!({"Type": "OutBoundNAT", "Settings": {"VirtualIP": "10.0.0.60"}});
        let endpoint =
            json!({"IpConfigurations": [{"IpAddress": "10.0.0.2"}], "Policies": [outbound]});
        let (network, endpoint_id) = (Guid(1 << 80), Guid(9));
        state
            .create_endpoint(network, endpoint_id, &v2(endpoint))
            .unwrap();
        let resources = json!([{"Type": "Endpoint", "Data": {"Id": endpoint_id}}]);
        let namespace = json!({ "Resources": resources }).to_string();
        state.create_namespace(Guid(10), &namespace).unwrap();
        let port = json!({"Protocol": 6, "InternalPort": 80, "ExternalPort": 80});
        let balancer = json!({
            "HostComputeEndpoints": [endpoint_id], "FrontendVIPs": ["10.0.0.50"], "SourceVIP": "10.0.0.51",
            "PortMappings": [port],
        });
        state.create_load_balancer(Guid(11), &v2(balancer)).unwrap();
        state.intent()
    }

    /// Whether a connection is forgotten, as both ends see it: who has begun it and where, who answers and where.
    fn is_unused(intent: &Intent, ends: [&str; 4]) -> bool {
        let addresses = ends.map(|text| text.parse().unwrap());
        Unused::of(intent).is_of(&Connection {
            family: 2,
            original: Vec::new(),
            zone: None,
            addresses: addresses.to_vec(),
            sources: vec![addresses[0], addresses[2]],
            datagrams: None,
        })
    }

    #[test]
    fn connections_of_addresses_that_no_endpoint_has_are_told_from_those_that_go_on() {
        const OUTSIDE: &str = "198.51.100.2";
        const HOST: &str = "198.51.100.1";
        let subnet = |prefix: &str| json!([{"Subnets": [{"IpAddressPrefix": prefix}]}]);
        let nat = json!({"Type": "NAT", "Ipams": subnet("10.0.0.0/24")});
        let private = json!({"Type": "Private", "Ipams": subnet("10.1.0.0/24")});
        let intent = with(&[nat, private]);
        for gone in [
            ["10.0.0.9", OUTSIDE, OUTSIDE, HOST],
            [OUTSIDE, HOST, "10.0.0.9", OUTSIDE],
            [OUTSIDE, "10.0.0.50", "10.0.0.9", "10.0.0.51"],
        ] {
            assert!(is_unused(&intent, gone), "{gone:?}");
        }
        for on in [
            ["10.0.0.2", OUTSIDE, OUTSIDE, "10.0.0.60"],
            // By a load balancer, which has a source of its own.
            [OUTSIDE, "10.0.0.50", "10.0.0.2", OUTSIDE],
            [OUTSIDE, "10.0.0.50", "10.0.0.2", "10.0.0.51"],
            ["10.0.0.50", OUTSIDE, OUTSIDE, "10.0.0.51"],
            // A program elsewhere has the address of a network that the host is not in.
            ["10.1.0.9", HOST, HOST, "10.1.0.9"],
        ] {
            assert!(!is_unused(&intent, on), "{on:?}");
        }
    }

    #[test]
    fn datagrams_follow_load_balancers() {
        let none = Intent::default();
        for (is_ipv4, addresses) in [(true, ADDRESSES[0]), (false, ADDRESSES[1])] {
            let [front, host, one_of, two_of] = addresses.map(|text| text.parse().unwrap());
            let of = |address, targets: &[IpAddr]| intent(is_ipv4, address, targets);
            for (address, to) in [(Some(front), front), (Some(host), host), (None, host)] {
                let [one, two, both] = [&[one_of][..], &[two_of], &[one_of, two_of]]
                    .map(|targets| of(address, targets));
                let [of_one, of_two] = [one_of, two_of].map(|target| (target, 5353));
                assert!(misled(&none, &one, to, (to, 53)), "created");
                assert!(!misled(&none, &one, to, of_one));
                assert!(misled(&one, &two, to, of_one), "changed");
                assert!(!misled(&one, &both, to, of_one) && !misled(&both, &one, to, of_one));
                assert!(misled(&both, &one, to, of_two), "one endpoint less");
                assert!(misled(&one, &none, to, of_one), "deleted");
                assert!(!misled(&one, &none, to, (to, 53)));
                assert!(Changed::of(&one, &one).is_empty());
            }
            let everywhere = of(None, &[one_of]);
            assert!(!misled(&none, &everywhere, front, (front, 53)), "not here");
            let mut at_address = of(Some(host), &[two_of]);
            at_address.balancers.extend(everywhere.balancers.clone());
            assert!(misled(&everywhere, &at_address, host, (one_of, 5353)));
            assert!(!misled(&everywhere, &at_address, host, (two_of, 5353)));
        }
        // What is said of all addresses of one family says nothing of those of the other.
        let [_, host, one_of, _] = ADDRESSES[1].map(|text| text.parse().unwrap());
        let everywhere = intent(true, None, &[ADDRESSES[0][2].parse().unwrap()]);
        assert!(!misled(&none, &everywhere, host, (one_of, 5353)));
        // The loopback of IPv6 has a server of the host, with whatever load balancer.
        let everywhere = intent(false, None, &[one_of]);
        let loopback = "::1".parse().unwrap();
        assert!(!misled(&none, &everywhere, loopback, (loopback, 53)));
    }
}
