//! Networks: subnets, gateways, pools.

use std::net::IpAddr;

use hcs_schema::{Failure, HResult, documents::Version, fault::quote};

use super::proxy::{Proxy, proxies};
use super::{
    Changes, MOST_POOLS, NotificationType, Object, State, Surroundings, chosen,
    fabric::{Fabric, check_subnet_policies, fabric, has_adapter, is_uplinked},
    has_own_name, room_for,
};
use crate::{
    access::{AccessRule, network_rules},
    address::{Mac, Prefix},
    coverage::{DISABLE_HOST_PORT, NETWORK_FLAGS, NETWORK_FLAGS_KNOWN, SUBNET_FLAGS},
    documents::{HostComputeNetwork, Ipam, NetworkType, Route, Subnet},
    guid::Guid,
    plan::{MacPlan, Pool, free_subnet},
    reading::{check, check_flags, check_texts, is_version_1, read, refused},
    sets::{Sets, sets},
    version1,
};

/// The id of the network that clients expect to be there.
pub const DEFAULT_SWITCH: Guid = Guid(0xc08c_b7b8_9b3c_408e_8e30_5e16_a3ae_b444);

/// A network.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    pub(crate) document: HostComputeNetwork,
    pub(crate) pools: Vec<Pool>,
    pub(crate) macs: MacPlan,
    pub(crate) fabric: Fabric,
    pub(crate) sets: Sets,
    pub(crate) proxies: Vec<Proxy>,
    /// Rules for what all endpoints may send and receive.
    pub(crate) access: Vec<AccessRule>,
}

/// What the policies of a network say of all its endpoints.
pub(super) struct NetworkRules {
    pub(super) sets: Sets,
    pub(super) proxies: Vec<Proxy>,
    pub(super) access: Vec<AccessRule>,
}

impl NetworkRules {
    /// # Errors
    /// A refusal by pointer.
    pub(super) fn read(document: &HostComputeNetwork) -> Result<Self, Failure> {
        let sets = sets(document)?;
        Ok(Self {
            proxies: proxies(document)?,
            access: network_rules(document, &sets)?,
            sets,
        })
    }
}

impl Network {
    /// Its type.
    #[must_use]
    pub fn kind(&self) -> NetworkType {
        self.document.kind.unwrap_or(NetworkType::Nat)
    }

    /// Its name; empty where it has none.
    #[must_use]
    pub fn name(&self) -> &str {
        self.document.name.as_deref().unwrap_or_default()
    }

    /// Its document, in version 2.
    #[must_use]
    pub const fn document(&self) -> &HostComputeNetwork {
        &self.document
    }

    /// Its subnets.
    #[must_use]
    pub fn pools(&self) -> &[Pool] {
        &self.pools
    }

    /// Whether the host translates addresses for it.
    #[must_use]
    pub fn is_translated(&self) -> bool {
        matches!(self.kind(), NetworkType::Nat | NetworkType::Ics)
    }

    /// What it stands on.
    #[must_use]
    pub const fn fabric(&self) -> &Fabric {
        &self.fabric
    }

    /// Whether what endpoints get of its rules is what they get of those of `other`.
    #[must_use]
    pub fn has_rules_of(&self, other: &Self) -> bool {
        (&self.access, &self.sets, &self.proxies) == (&other.access, &other.sets, &other.proxies)
    }

    /// Its sets of addresses.
    pub(crate) const fn sets(&self) -> &Sets {
        &self.sets
    }

    /// Whether its endpoints are in the network of an adapter of the host, with a link on that each.
    #[must_use]
    pub fn is_uplinked(&self) -> bool {
        is_uplinked(self.kind())
    }

    /// Whether the host has addresses in it.
    #[must_use]
    pub fn has_host(&self) -> bool {
        let unplugged = self.document.flags.unwrap_or(0) & DISABLE_HOST_PORT != 0;
        self.kind() != NetworkType::Private && !self.is_uplinked() && !unplugged
    }

    /// Whether it has subnets of IPv6.
    #[must_use]
    pub fn has_ipv6(&self) -> bool {
        self.pools.iter().any(|pool| !pool.prefix.is_ipv4())
    }

    /// Its subnets, and those that it has elsewhere: no other network can have them.
    pub fn prefixes(&self) -> impl Iterator<Item = Prefix> {
        let tunnel = self.fabric.tunnel.iter();
        let elsewhere = tunnel.flat_map(|tunnel| &tunnel.subnets);
        let pools = self.pools.iter().map(|pool| pool.prefix);
        pools.chain(elsewhere.map(|subnet| subnet.to))
    }

    /// The pool that `address` belongs to.
    #[must_use]
    pub fn pool_of(&self, address: IpAddr) -> Option<&Pool> {
        self.pools.iter().find(|pool| pool.prefix.contains(address))
    }
}

impl State {
    /// Creates a network. `given` is the id that the client gave, or one that the service chose.
    ///
    /// # Errors
    /// A refusal by pointer; `HCN_E_NETWORK_ALREADY_EXISTS` for an id or a name that is taken.
    pub fn create_network(
        &mut self,
        given: Guid,
        settings: &str,
        surroundings: &Surroundings,
    ) -> Result<Changes, Failure> {
        if is_version_1(settings, version1::NETWORK_2) {
            let document = version1::read_network(settings)?;
            self.make_network(given, document, surroundings)
                .map_err(version1::pointed)
        } else {
            self.make_network(given, read(settings)?, surroundings)
        }
    }

    /// Makes the network that clients expect to be there, where it is not: they open it by its id, or look for its
    /// name.
    ///
    /// # Errors
    /// As for [`State::create_network`]: another network has the name, or no subnet is free.
    pub fn ensure_default_switch(
        &mut self,
        surroundings: &Surroundings,
    ) -> Result<Option<Changes>, Failure> {
        if self.networks.contains_key(&DEFAULT_SWITCH) {
            return Ok(None);
        }
        let document = HostComputeNetwork {
            name: Some("Default Switch".to_owned()),
            kind: Some(NetworkType::Ics),
            ..HostComputeNetwork::default()
        };
        self.make_network(DEFAULT_SWITCH, document, surroundings)
            .map(Some)
    }

    fn make_network(
        &mut self,
        given: Guid,
        mut document: HostComputeNetwork,
        surroundings: &Surroundings,
    ) -> Result<Changes, Failure> {
        check(&document)?;
        check_texts(document.name.as_ref(), document.owner.as_ref())?;
        room_for(self.networks.len(), "networks")?;
        check_flags(document.flags, NETWORK_FLAGS_KNOWN, NETWORK_FLAGS)?;
        let id = chosen(given, document.id.as_ref())?;
        self.is_new(id, document.name.as_deref().unwrap_or_default())?;
        let kind = document.kind.unwrap_or(NetworkType::Nat);
        let translated = matches!(kind, NetworkType::Nat | NetworkType::Ics);
        if translated && document.flags.unwrap_or(0) & DISABLE_HOST_PORT != 0 {
            let what = "the flag DisableHostPort (1024) is not supported here: the host translates addresses for a network \
                        of type NAT or ICS, so it has to be in it";
            return Err(refused(HResult::HCN_E_REQUEST_UNSUPPORTED, "/Flags", what));
        }
        check_subnet_policies(&document)?;
        let fabric = fabric(&document)?;
        has_adapter(kind, &fabric, &surroundings.adapters)?;
        self.is_own_tunnel(&fabric)?;
        let NetworkRules {
            sets,
            proxies,
            access,
        } = NetworkRules::read(&document)?;
        // Endpoints are in the network of the host's adapter, so the host has a route to it.
        let taken = match is_uplinked(kind) {
            true => self.taken(&Surroundings::default()),
            false => self.taken(surroundings),
        };
        self.fill_in(&mut document, &taken)?;
        let macs = MacPlan::new(mac_ranges(&document)?, id);
        let pools = pools(&mut document, kind, &taken)?;
        Self::lead_nowhere_else(&document, &fabric, &pools, &taken)?;
        document.id = Some(id.to_string());
        document.schema_version = Some(Version {
            major: Some(2),
            minor: Some(0),
        });
        let network = Network {
            document,
            pools,
            macs,
            fabric,
            sets,
            proxies,
            access,
        };
        self.networks.insert(id, network);
        let changes = Changes::one(id, Object::Network(id));
        Ok(changes
            .told(NotificationType::NetworkPreCreate, id)
            .told(NotificationType::NetworkCreate, id))
    }

    fn is_new(&self, id: Guid, name: &str) -> Result<(), Failure> {
        let exists = |what: String| Err(Failure::new(HResult::HCN_E_NETWORK_ALREADY_EXISTS, what));
        if self.networks.contains_key(&id) {
            return exists(format!("there is a network with the id {id} already"));
        }
        has_own_name(id, self.networks.keys())?;
        let same = self
            .networks
            .iter()
            .find(|(_, other)| !name.is_empty() && other.name() == name);
        match same {
            Some((other, _)) => exists(format!(
                "the network {other} has the name {} already",
                quote(name)
            )),
            None => Ok(()),
        }
    }

    /// Refuses tunnels whose packets no host could tell from those of another network.
    fn is_own_tunnel(&self, fabric: &Fabric) -> Result<(), Failure> {
        let place = |fabric: &Fabric| fabric.tunnel.as_ref().map(|one| (one.number, one.port));
        let Some((number, port)) = place(fabric) else {
            return Ok(());
        };
        let mut others = self.networks.iter();
        match others.find(|(_, other)| place(&other.fabric) == Some((number, port))) {
            None => Ok(()),
            Some((other, _)) => {
                let what = format!(
                    "the network {other} has the number {number} at the port {port} already; give the subnets another one by a \
                     policy of type VSID"
                );
                Err(refused(HResult::HCN_E_INVALID_POLICY, "/Ipams", what))
            }
        }
    }

    /// Prefixes that no new subnet may touch.
    fn taken(&self, surroundings: &Surroundings) -> Vec<Prefix> {
        let own = self.prefixes_but_of(Guid::NONE);
        own.chain(surroundings.routes.iter().copied()).collect()
    }

    /// Prefixes of networks, here and elsewhere, but those of the network `id`.
    pub(super) fn prefixes_but_of(&self, id: Guid) -> impl Iterator<Item = Prefix> {
        let others = self.networks.iter().filter(move |(other, _)| **other != id);
        others.flat_map(|(_, network)| network.prefixes())
    }

    /// A network without subnets gets one.
    fn fill_in(&self, document: &mut HostComputeNetwork, taken: &[Prefix]) -> Result<(), Failure> {
        let mut subnets = document
            .ipams
            .iter()
            .flatten()
            .filter_map(|ipam| ipam.subnets.as_ref());
        if subnets.any(|subnets| !subnets.is_empty()) {
            return Ok(());
        }
        if document.kind.is_some_and(is_uplinked) {
            let what = "the subnet of the adapter's network is expected, or a part of it that no other program gives \
                        addresses of: endpoints get theirs from this service, without DHCP";
            return Err(refused(HResult::HCN_E_INVALID_SUBNET, "/Ipams", what));
        }
        let chosen = free_subnet(taken).ok_or_else(|| {
            let what = "no subnet is free: routes of the host touch all that the service would choose; name one";
            refused(HResult::HCN_E_INVALID_SUBNET, "/Ipams", what)
        })?;
        document.ipams = Some(vec![Ipam {
            kind: None,
            subnets: Some(vec![Subnet {
                ip_address_prefix: Some(chosen.to_string()),
                ..Subnet::default()
            }]),
        }]);
        Ok(())
    }

    /// Deletes a network with its endpoints.
    ///
    /// # Errors
    /// `HCN_E_NETWORK_NOT_FOUND`; `HCN_E_ENTITY_HAS_REFERENCES` while a load balancer is in it.
    pub fn delete_network(&mut self, id: Guid) -> Result<Changes, Failure> {
        self.network(id)?;
        let balancer = self
            .load_balancers
            .iter()
            .find(|(_, one)| one.network == Some(id));
        if let Some((other, _)) = balancer {
            let message =
                format!("the load balancer {other} is in the network {id}; delete it first");
            return Err(Failure::new(HResult::HCN_E_ENTITY_HAS_REFERENCES, message));
        }
        let mut changes = Changes {
            id,
            ..Changes::default()
        }
        .told(NotificationType::NetworkPreDelete, id);
        let endpoints: Vec<Guid> = self
            .endpoints_of(id)
            .map(|(endpoint, _)| endpoint)
            .collect();
        for endpoint in endpoints {
            self.drop_endpoint(endpoint, &mut changes);
        }
        self.networks.remove(&id);
        changes
            .written
            .retain(|object| *object != Object::Network(id));
        changes.removed.push(Object::Network(id));
        Ok(changes.told(NotificationType::NetworkDelete, id))
    }
}

fn mac_ranges(document: &HostComputeNetwork) -> Result<Vec<(Mac, Mac)>, Failure> {
    let ranges = document
        .mac_pool
        .iter()
        .flat_map(|pool| pool.ranges.iter().flatten());
    let ranges = ranges.enumerate().map(|(at, range)| {
        let read = |text: Option<&String>| text.and_then(|text| text.parse::<Mac>().ok());
        let first = read(range.start_mac_address.as_ref());
        let last = read(range.end_mac_address.as_ref());
        match (first, last) {
            (Some(first), Some(last))
                if first <= last && first.is_single() && first.0[0] == last.0[0] =>
            {
                Ok((first, last))
            }
            _ => {
                let what = "the range needs a first and a last address, in this order, with the same first byte, and of single \
                            cards (an even first byte)";
                let pointer = format!("/MacPool/Ranges/{at}");
                Err(refused(HResult::HCN_E_INVALID_JSON, pointer, what))
            }
        }
    });
    ranges.collect()
}

/// The pools of the subnets; gateways that were left open are filled in.
fn pools(
    document: &mut HostComputeNetwork,
    kind: NetworkType,
    taken: &[Prefix],
) -> Result<Vec<Pool>, Failure> {
    let ipams = document.ipams.iter().flatten();
    let count: usize = ipams
        .map(|ipam| ipam.subnets.as_ref().map_or(0, Vec::len))
        .sum();
    if count > MOST_POOLS {
        let what = format!("{count} subnets are too many; a network has up to {MOST_POOLS}");
        return Err(refused(HResult::HCN_E_INVALID_SUBNET, "/Ipams", what));
    }
    let translated = matches!(kind, NetworkType::Nat | NetworkType::Ics);
    let mut pools: Vec<Pool> = Vec::new();
    for (at, ipam) in document.ipams.iter_mut().flatten().enumerate() {
        for (index, subnet) in ipam.subnets.iter_mut().flatten().enumerate() {
            let pointer = format!("/Ipams/{at}/Subnets/{index}");
            let own: Vec<Prefix> = pools.iter().map(|pool| pool.prefix).collect();
            let prefix = prefix(subnet, &pointer, &[taken, &own].concat())?;
            check_subnet_flags(subnet, &pointer)?;
            let mut pool = Pool::new(prefix, None);
            pool.gateway = gateway(subnet, prefix, &pointer)?;
            if pool.gateway.is_none() && kind != NetworkType::Private && !is_uplinked(kind) {
                pool.gateway = Some(pool.first_host());
            }
            // Only IPv4 is translated: with an address of IPv6 nothing leads to the outside.
            let leads_out = translated && prefix.is_ipv4() && !has_default(subnet);
            if let (Some(gateway), true) = (pool.gateway, leads_out) {
                let routes = subnet.routes.get_or_insert_default();
                routes.push(Route {
                    next_hop: Some(gateway.to_string()),
                    destination_prefix: Some(all_like(gateway).to_owned()),
                    metric: None,
                });
            }
            pools.push(pool);
        }
    }
    Ok(pools)
}

fn check_subnet_flags(subnet: &Subnet, pointer: &str) -> Result<(), Failure> {
    check_flags(subnet.flags, 1, SUBNET_FLAGS).map_err(|mut failure| {
        for cause in &mut failure.causes {
            cause.pointer = Some(format!("{pointer}/Flags"));
        }
        failure.message = format!("{pointer}{}", failure.message);
        failure
    })
}

fn prefix(subnet: &Subnet, pointer: &str, taken: &[Prefix]) -> Result<Prefix, Failure> {
    let pointer = format!("{pointer}/IpAddressPrefix");
    let text = subnet.ip_address_prefix.as_deref().unwrap_or_default();
    let prefix: Prefix = text.parse().map_err(|_| {
        let what = format!(
            "{} is no prefix; expected one like 192.168.0.0/24, without bits behind its length",
            quote(text)
        );
        refused(HResult::HCN_E_INVALID_PREFIX, &*pointer, what)
    })?;
    let longest = if prefix.is_ipv4() { 30 } else { 126 };
    if prefix.length() > longest || !prefix.is_for_hosts() {
        let what = format!(
            "{prefix} is no subnet for endpoints; expected addresses of hosts, as in 10.0.0.0/8 or fd00::/8, with a length from 8 to {longest}"
        );
        return Err(refused(HResult::HCN_E_INVALID_SUBNET, pointer, what));
    }
    let mut others = taken.iter().filter(|other| !other.is_wide());
    match others.find(|other| other.overlaps(prefix)) {
        Some(other) => {
            let what = format!(
                "{prefix} shares addresses with {other}, to which the host has a route; name another subnet"
            );
            Err(refused(HResult::HCN_E_INVALID_SUBNET, pointer, what))
        }
        None => Ok(prefix),
    }
}

/// The next hop of the default route.
fn gateway(subnet: &Subnet, prefix: Prefix, pointer: &str) -> Result<Option<IpAddr>, Failure> {
    let routes = subnet.routes.as_deref().unwrap_or_default();
    let Some((at, route)) = routes
        .iter()
        .enumerate()
        .find(|(_, route)| is_default(route))
    else {
        return Ok(None);
    };
    let text = route.next_hop.as_deref().unwrap_or_default();
    let pointer = format!("{pointer}/Routes/{at}/NextHop");
    let address: IpAddr = text.parse().map_err(|_| {
        let what = format!("{} is no IP address", quote(text));
        refused(HResult::HCN_E_INVALID_IP, &*pointer, what)
    })?;
    if Pool::new(prefix, None).allows(address) {
        return Ok(Some(address));
    }
    let what = format!("{address} is no address of a host in {prefix}");
    Err(refused(
        HResult::HCN_E_ADDR_INVALID_OR_RESERVED,
        pointer,
        what,
    ))
}

/// A route to everywhere; one without a destination is, too.
pub(super) fn is_default(route: &Route) -> bool {
    let destination = route.destination_prefix.as_deref().unwrap_or_default();
    matches!(destination, "" | "0.0.0.0/0" | "::/0")
}

fn has_default(subnet: &Subnet) -> bool {
    subnet.routes.iter().flatten().any(is_default)
}

pub(super) const fn all_like(address: IpAddr) -> &'static str {
    if address.is_ipv4() {
        "0.0.0.0/0"
    } else {
        "::/0"
    }
}
