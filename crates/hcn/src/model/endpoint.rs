//! Endpoints: addresses, hardware addresses, port mappings.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use hcs_schema::{Failure, HResult, documents::Version, fault::quote, win32};
use serde::{Deserialize, Serialize};

use super::proxy::Proxy;
use super::{
    Changes, MOST_ADDRESSES, MOST_ENDPOINTS, MOST_PEERS_OF_ALL, Network, Notification,
    NotificationType, Object, State, chosen, has_own_name,
    network::{all_like, is_default},
    outbound::Outbound,
    remote, room_for,
    taken::Taken,
    terms::{bandwidth, mapping, mtu},
};
use crate::{
    access::{AccessRule, Tier},
    address::{Mac, Prefix},
    coverage::{ENDPOINT_FLAGS, ENDPOINT_FLAGS_KNOWN, ISOLATED},
    documents::{EndpointPolicyType, HostComputeEndpoint, IpConfiguration, Route},
    guid::Guid,
    plan::Pool,
    reading::{check, check_flags, check_texts, is_version_1, read, refused},
    version1,
};

/// An endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    pub(crate) document: HostComputeEndpoint,
    pub(crate) network: Guid,
    pub(crate) namespace: Option<Guid>,
    pub(crate) leases: Vec<Lease>,
    pub(crate) mac: Mac,
    pub(crate) terms: Terms,
}

/// An address of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The address.
    pub address: IpAddr,
    /// The length of its prefix.
    pub length: u8,
}

/// What the policies and routes of an endpoint come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Ports of the host that lead to it.
    pub mappings: Vec<Mapping>,
    /// Its routes: where they lead, the router, the metric.
    pub routes: Vec<(Prefix, IpAddr, u16)>,
    /// Routes that its policies add: where they lead, and the router.
    pub led_routes: Vec<(Prefix, IpAddr)>,
    /// The largest packet, in bytes.
    pub mtu: Option<u32>,
    /// The most that it sends, in bytes a second.
    pub bandwidth: Option<u64>,
    /// Rules for what it may send and receive, those that decide first before the others.
    pub access: Vec<AccessRule>,
    /// Tiers of such rules, which come before those, the one that decides first before the others.
    pub tiers: Vec<Tier>,
    /// Proxies that its connections are led to, the first that fits.
    pub proxies: Vec<Proxy>,
    /// The address of its host, where that is another one.
    pub provider: Option<Ipv4Addr>,
    /// How connections to the outside are translated.
    pub outbound: Outbound,
}

/// A port of the host that leads to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Mapping {
    /// The protocol.
    pub protocol: Protocol,
    /// The port of the host.
    pub external: u16,
    /// The address of the host; all of them where there is none.
    pub address: Option<IpAddr>,
    /// The port of the endpoint.
    pub internal: u16,
}

/// A protocol with ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }
}

impl Terms {
    /// Ports are mapped for IPv4, so the endpoint has to have such an address.
    pub(super) fn have_somewhere_to_lead(&self, leases: &[Lease]) -> Result<(), Failure> {
        if self.mappings.is_empty() || leases.iter().any(|lease| lease.address.is_ipv4()) {
            return Ok(());
        }
        let what = "a port of the host cannot lead to an endpoint without an IPv4 address";
        Err(refused(
            HResult::HCN_E_MAPPING_NOT_SUPPORTED,
            "/Policies",
            what,
        ))
    }
}

impl Mapping {
    /// Whether the same packet could be meant by both.
    #[must_use]
    pub fn collides(&self, other: &Self) -> bool {
        let apart =
            self.address.is_some() && other.address.is_some() && self.address != other.address;
        (self.protocol, self.external) == (other.protocol, other.external) && !apart
    }
}

impl Endpoint {
    /// Its network.
    #[must_use]
    pub const fn network(&self) -> Guid {
        self.network
    }

    /// The namespace that it is in.
    #[must_use]
    pub const fn namespace(&self) -> Option<Guid> {
        self.namespace
    }

    /// Its addresses.
    #[must_use]
    pub fn leases(&self) -> &[Lease] {
        &self.leases
    }

    /// Its first address of a family.
    pub(crate) fn address_of(&self, is_ipv4: bool) -> Option<IpAddr> {
        let mut leases = self.leases.iter().map(|lease| lease.address);
        leases.find(|address| address.is_ipv4() == is_ipv4)
    }

    /// Whether packets for an address have a way: it is in a subnet of the endpoint's, or one of its routes leads
    /// there.
    pub(crate) fn reaches(&self, address: IpAddr) -> bool {
        let on_link = |lease: &Lease| {
            let prefix = Prefix::around(lease.address, lease.length);
            prefix.is_some_and(|prefix| prefix.contains(address))
        };
        self.leases.iter().any(on_link) || self.terms.routes_lead_to(address)
    }

    /// The address of its network card.
    #[must_use]
    pub const fn mac(&self) -> Mac {
        self.mac
    }

    /// What its policies and routes come to.
    #[must_use]
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Whether other endpoints of its network are kept away from it.
    #[must_use]
    pub fn is_isolated(&self) -> bool {
        self.document.flags.unwrap_or(0) & ISOLATED != 0
    }

    /// Whether it is on another host.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        remote::is_remote(&self.document)
    }

    /// Its name; empty where it has none.
    #[must_use]
    pub fn name(&self) -> &str {
        self.document.name.as_deref().unwrap_or_default()
    }
}

impl State {
    /// Creates an endpoint in a network. `given` is the id that the client gave, or one that the service chose.
    ///
    /// # Errors
    /// A refusal by pointer; `HCN_E_NETWORK_NOT_FOUND`; `HCN_E_ADDR_INVALID_OR_RESERVED` for an address that cannot be
    /// had; `HCN_E_PORT_ALREADY_EXISTS` for a port of the host that is mapped already.
    pub fn create_endpoint(
        &mut self,
        network: Guid,
        given: Guid,
        settings: &str,
    ) -> Result<Changes, Failure> {
        if is_version_1(settings, version1::ENDPOINT_2) {
            let document = version1::read_endpoint(settings)?;
            self.make_endpoint(network, given, document)
                .map_err(version1::pointed)
        } else {
            self.make_endpoint(network, given, read(settings)?)
        }
    }

    fn make_endpoint(
        &mut self,
        network_id: Guid,
        given: Guid,
        mut document: HostComputeEndpoint,
    ) -> Result<Changes, Failure> {
        check(&document)?;
        check_texts(document.name.as_ref(), document.owner.as_ref())?;
        let network = self.network(network_id)?;
        self.has_room(network_id)?;
        check_flags(document.flags, ENDPOINT_FLAGS_KNOWN, ENDPOINT_FLAGS)?;
        names_its_network(&document, network_id)?;
        let id = chosen(given, document.id.as_ref())?;
        if self.endpoints.contains_key(&id) {
            let message = format!("there is an endpoint with the id {id} already");
            return Err(Failure::new(
                HResult::from_win32(win32::ERROR_ALREADY_EXISTS),
                message,
            ));
        }
        has_own_name(id, self.endpoints.keys())?;
        remote::check(network, &document)?;
        // Pools move on only when all is well, so they are copied.
        let mut after = network.clone();
        let leases = self.leases(network_id, &mut after, &document)?;
        let mac = self.mac(network_id, &mut after, &document)?;
        fill_in(&mut document, &after, &leases);
        let terms = self.terms(id, &after, &document)?;
        terms.have_somewhere_to_lead(&leases)?;
        terms.have_proxies_elsewhere(&leases)?;
        terms.have_routers_beside(&leases, &document)?;
        remote::is_no_router(&after, mac, &terms)?;
        document.id = Some(id.to_string());
        document.host_compute_network = Some(network_id.to_string());
        document.host_compute_namespace = None;
        document.mac_address = Some(mac.to_string());
        document.schema_version = Some(Version {
            major: Some(2),
            minor: Some(0),
        });
        let endpoint = Endpoint {
            document,
            network: network_id,
            namespace: None,
            leases,
            mac,
            terms,
        };
        self.endpoints.insert(id, Arc::new(endpoint));
        self.networks.insert(network_id, after);
        let mut changes = Changes::one(id, Object::Endpoint(id));
        changes.written.push(Object::Network(network_id));
        Ok(changes)
    }

    fn has_room(&self, network: Guid) -> Result<(), Failure> {
        room_for(self.endpoints.len(), "endpoints")?;
        let count = self.endpoints_of(network).count();
        if count < MOST_ENDPOINTS {
            return Ok(());
        }
        let message = format!(
            "the network {network} has {count} endpoints, and no more are made; delete some"
        );
        let code = HResult::from_win32(win32::ERROR_NO_SYSTEM_RESOURCES);
        Err(Failure::new(code, message))
    }

    /// Addresses that endpoints of a network have.
    fn used(&self, network: Guid) -> BTreeSet<IpAddr> {
        let leases = self
            .endpoints_of(network)
            .flat_map(|(_, endpoint)| &endpoint.leases);
        leases.map(|lease| lease.address).collect()
    }

    /// The addresses that the document names, and one of each family of subnets where it names none.
    fn leases(
        &self,
        id: Guid,
        network: &mut Network,
        document: &HostComputeEndpoint,
    ) -> Result<Vec<Lease>, Failure> {
        let mut used = self.used(id);
        let mut leases: Vec<Lease> = Vec::new();
        let asked = document.ip_configurations.as_deref().unwrap_or_default();
        if asked.len() > MOST_ADDRESSES {
            let what = format!(
                "{} addresses are too many; an endpoint has up to {MOST_ADDRESSES}",
                asked.len()
            );
            return Err(refused(
                HResult::HCN_E_INVALID_ENDPOINT,
                "/IpConfigurations",
                what,
            ));
        }
        for (at, one) in asked.iter().enumerate() {
            let pointer = format!("/IpConfigurations/{at}");
            let lease = match one.ip_address.as_deref() {
                None | Some("") => {
                    any_lease(network, &used, None).ok_or_else(|| exhausted(id, pointer))?
                }
                Some(text) => match remote::lease(network, document, one) {
                    Some(lease) if !used.contains(&lease.address) => lease,
                    _ => named_lease(network, &used, one, text, &pointer)?,
                },
            };
            used.insert(lease.address);
            leases.push(lease);
        }
        if !asked.is_empty() {
            return Ok(leases);
        }
        for version_4 in [true, false] {
            if network
                .pools
                .iter()
                .any(|pool| pool.prefix.is_ipv4() == version_4)
            {
                let lease = any_lease(network, &used, Some(version_4));
                leases.push(lease.ok_or_else(|| exhausted(id, "/IpConfigurations"))?);
            }
        }
        Ok(leases)
    }

    fn mac(
        &self,
        id: Guid,
        network: &mut Network,
        document: &HostComputeEndpoint,
    ) -> Result<Mac, Failure> {
        let used: BTreeSet<Mac> = self
            .endpoints_of(id)
            .map(|(_, endpoint)| endpoint.mac)
            .collect();
        let wrong = |what: String| {
            Err(refused(
                HResult::HCN_E_INVALID_ENDPOINT,
                "/MacAddress",
                what,
            ))
        };
        match document.mac_address.as_deref() {
            None | Some("") => network.macs.give(&used).ok_or_else(|| {
                let what = format!("all hardware addresses of the network {id} are in use");
                refused(HResult::HCN_E_INVALID_ENDPOINT, "/MacAddress", what)
            }),
            Some(text) => match text.parse::<Mac>() {
                Ok(mac) if mac.is_single() && !used.contains(&mac) => Ok(mac),
                Ok(mac) if mac.is_single() => {
                    wrong(format!("{mac} belongs to another endpoint of the network"))
                }
                _ => wrong(format!(
                    "{} is no address of a single network card",
                    quote(text)
                )),
            },
        }
    }

    /// What policies and routes come to; `id` is the endpoint's, whose former mappings do not count.
    pub(super) fn terms(
        &self,
        id: Guid,
        network: &Network,
        document: &HostComputeEndpoint,
    ) -> Result<Terms, Failure> {
        self.terms_beside(id, network, document, &mut None)
    }

    /// [`State::terms`] of an endpoint beside what is `taken`; where that is none, beside all other endpoints.
    pub(super) fn terms_beside(
        &self,
        id: Guid,
        network: &Network,
        document: &HostComputeEndpoint,
        taken: &mut Option<Taken>,
    ) -> Result<Terms, Failure> {
        let mut terms = Terms {
            routes: routes(network, document.routes.as_deref().unwrap_or_default())?,
            ..Terms::default()
        };
        for (at, policy) in document.policies.iter().flatten().enumerate() {
            let pointer = format!("/Policies/{at}/Settings");
            match policy.kind {
                Some(EndpointPolicyType::PortMapping) => {
                    let mapping = mapping(network, policy, &pointer)?;
                    let taken = taken.get_or_insert_with(|| Taken::of(self, id));
                    taken.is_free(&mapping, &pointer)?;
                    taken.has_room(terms.mappings.len(), &pointer)?;
                    taken.add(id, mapping);
                    terms.mappings.push(mapping);
                }
                Some(
                    EndpointPolicyType::InterfaceParameters | EndpointPolicyType::EncapOverhead,
                ) => {
                    let mtu = mtu(network, policy, &pointer)?;
                    terms.mtu = Some(terms.mtu.map_or(mtu, |other| other.min(mtu)));
                }
                Some(
                    EndpointPolicyType::Acl
                    | EndpointPolicyType::TierAcl
                    | EndpointPolicyType::L4Proxy,
                ) => {
                    terms.read_rules(network, policy, &pointer)?;
                }
                Some(EndpointPolicyType::OutBoundNat) => {
                    terms.outbound.read(network, policy, &pointer)?;
                    self.has_room_for_peers(id, terms.outbound.peers(), &pointer)?;
                }
                Some(EndpointPolicyType::SdnRoute) => {
                    terms.read_route(network, policy, &pointer)?;
                }
                Some(EndpointPolicyType::ProviderAddress) => {
                    terms.provider = Some(remote::provider_of(policy, &pointer)?);
                }
                Some(EndpointPolicyType::Qos) => {
                    let most = bandwidth(policy, &pointer)?;
                    terms.bandwidth = Some(terms.bandwidth.map_or(most, |other| other.min(most)));
                }
                _ => {}
            }
        }
        self.have_room(id, network, &terms)?;
        terms.sort_rules();
        Ok(terms)
    }

    /// The ports of the host that lead somewhere, at all of its addresses or at one.
    #[must_use]
    pub fn mapped_ports(&self) -> BTreeSet<(Protocol, u16)> {
        let mapped = self.endpoints.values().flat_map(|one| &one.terms.mappings);
        let mapped = mapped.map(|one| (one.protocol, one.external));
        let balanced = self.load_balancers.values().flat_map(|one| &one.ports);
        let balanced = balanced.map(|one| (one.protocol, one.external));
        mapped.chain(balanced).collect()
    }

    /// Refuses peers of an endpoint, where all endpoints would name more than the kernel is to hold.
    fn has_room_for_peers(&self, id: Guid, count: usize, pointer: &str) -> Result<(), Failure> {
        if count == 0 {
            return Ok(());
        }
        let others = self.endpoints.iter().filter(|(other, _)| **other != id);
        let others = others.map(|(_, one)| one.terms.outbound.peers());
        let all = count + others.sum::<usize>();
        if all <= MOST_PEERS_OF_ALL {
            return Ok(());
        }
        let what =
            format!("all endpoints together name up to {MOST_PEERS_OF_ALL} peers, not {all}");
        let code = HResult::from_win32(win32::ERROR_NO_SYSTEM_RESOURCES);
        Err(refused(code, pointer, what))
    }

    /// Deletes an endpoint; one that is in a namespace is taken out of it.
    ///
    /// # Errors
    /// `HCN_E_ENDPOINT_NOT_FOUND`; `HCN_E_ENTITY_HAS_REFERENCES` while a load balancer leads to it.
    pub fn delete_endpoint(&mut self, id: Guid) -> Result<Changes, Failure> {
        self.endpoint(id)?;
        let mut balancers = self.load_balancers.iter();
        if let Some((other, _)) = balancers.find(|(_, one)| one.endpoints.contains(&id)) {
            let message =
                format!("the load balancer {other} leads to the endpoint {id}; delete it first");
            return Err(Failure::new(HResult::HCN_E_ENTITY_HAS_REFERENCES, message));
        }
        let mut changes = Changes {
            id,
            ..Changes::default()
        };
        self.drop_endpoint(id, &mut changes);
        Ok(changes)
    }

    /// Takes an endpoint away whose container has ended, out of load balancers as well.
    ///
    /// # Errors
    /// `HCN_E_ENDPOINT_NOT_FOUND`.
    pub fn end_endpoint(&mut self, id: Guid) -> Result<Changes, Failure> {
        self.endpoint(id)?;
        let mut changes = Changes {
            id,
            ..Changes::default()
        };
        self.drop_endpoint(id, &mut changes);
        Ok(changes)
    }

    /// Takes an endpoint away, with its addresses and its place in a namespace.
    pub(super) fn drop_endpoint(&mut self, id: Guid, changes: &mut Changes) {
        self.take_out(id, changes);
        let Some(endpoint) = self.endpoints.remove(&id) else {
            return;
        };
        self.balance_without(id, changes);
        changes
            .written
            .retain(|object| *object != Object::Endpoint(id));
        changes.removed.push(Object::Endpoint(id));
        if let Some(network) = self.networks.get_mut(&endpoint.network) {
            for lease in &endpoint.leases {
                network
                    .pools
                    .iter_mut()
                    .for_each(|pool| pool.take_back(lease.address));
            }
            changes.written.push(Object::Network(endpoint.network));
        }
        changes.written.dedup();
    }

    /// Takes an endpoint out of its namespace.
    pub(super) fn take_out(&mut self, id: Guid, changes: &mut Changes) {
        let Some(endpoint) = self.endpoints.get_mut(&id).map(Arc::make_mut) else {
            return;
        };
        let Some(namespace_id) = endpoint.namespace.take() else {
            return;
        };
        endpoint.document.host_compute_namespace = None;
        if let Some(namespace) = self.namespaces.get_mut(&namespace_id) {
            namespace.free(|other| other == id);
            changes.written.push(Object::Namespace(namespace_id));
        }
        changes.written.push(Object::Endpoint(id));
        changes.notifications.push(Notification {
            kind: NotificationType::EndpointDetached,
            id,
            namespace: Some(namespace_id),
        });
    }
}

fn exhausted(network: Guid, pointer: impl Into<String>) -> Failure {
    let what = format!("all addresses of the network {network} are in use");
    refused(HResult::HCN_E_ADDR_INVALID_OR_RESERVED, pointer, what)
}

fn any_lease(
    network: &mut Network,
    used: &BTreeSet<IpAddr>,
    version_4: Option<bool>,
) -> Option<Lease> {
    let wanted = |pool: &&mut Pool| version_4.is_none_or(|wanted| pool.prefix.is_ipv4() == wanted);
    network.pools.iter_mut().filter(wanted).find_map(|pool| {
        let address = pool.give(used)?;
        let length = pool.prefix.length();
        Some(Lease { address, length })
    })
}

fn named_lease(
    network: &Network,
    used: &BTreeSet<IpAddr>,
    asked: &IpConfiguration,
    text: &str,
    pointer: &str,
) -> Result<Lease, Failure> {
    let place = format!("{pointer}/IpAddress");
    let address: IpAddr = text.parse().map_err(|_| {
        let what = format!("{} is no IP address", quote(text));
        refused(HResult::HCN_E_INVALID_IP, &*place, what)
    })?;
    let Some(pool) = network.pool_of(address) else {
        let subnets: Vec<String> = network
            .pools
            .iter()
            .map(|pool| pool.prefix.to_string())
            .collect();
        let what = format!(
            "{address} is in no subnet of the network; expected one of {}",
            subnets.join(", ")
        );
        return Err(refused(HResult::HCN_E_INVALID_IP_SUBNET, place, what));
    };
    if !pool.allows(address) {
        let what =
            format!("{address} is reserved: it names the subnet, all of its hosts, or its gateway");
        return Err(refused(
            HResult::HCN_E_ADDR_INVALID_OR_RESERVED,
            place,
            what,
        ));
    }
    if used.contains(&address) {
        let what = format!("{address} belongs to another endpoint of the network");
        return Err(refused(
            HResult::HCN_E_ADDR_INVALID_OR_RESERVED,
            place,
            what,
        ));
    }
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let length = asked.prefix_length.filter(|length| *length > 0);
    let length = length.unwrap_or(pool.prefix.length());
    if length > longest || length < pool.prefix.length() {
        let what = format!(
            "{length} is no length of a prefix in {}; expected from {} to {longest}",
            pool.prefix,
            pool.prefix.length()
        );
        let place = format!("{pointer}/PrefixLength");
        return Err(refused(HResult::HCN_E_INVALID_PREFIX, place, what));
    }
    Ok(Lease { address, length })
}

/// Writes into the document what it left open: addresses, routes, servers of names.
fn fill_in(document: &mut HostComputeEndpoint, network: &Network, leases: &[Lease]) {
    let configurations = leases.iter().enumerate().map(|(at, lease)| {
        let asked = document
            .ip_configurations
            .as_ref()
            .and_then(|all| all.get(at));
        IpConfiguration {
            ip_address: Some(lease.address.to_string()),
            prefix_length: Some(lease.length),
            ip_subnet_id: asked.and_then(|one| one.ip_subnet_id.clone()),
        }
    });
    document.ip_configurations = Some(configurations.collect());
    if document.routes.as_ref().is_none_or(Vec::is_empty) {
        // Only IPv4 is translated. With a default route of IPv6 each connection to the outside would wait for an answer
        // that never comes; without one it fails at once, and programs go on to the addresses of IPv4.
        let families: &[bool] = match (network.is_translated(), network.is_uplinked()) {
            (true, _) => &[true],
            (_, true) => &[true, false],
            // Subnets on other hosts are reached by this one.
            _ if network.fabric.tunnel.is_some() && network.has_host() => &[true],
            _ => &[],
        };
        let route = |ipv4: &bool| {
            let lease = leases
                .iter()
                .find(|lease| lease.address.is_ipv4() == *ipv4)?;
            let gateway = network.pool_of(lease.address)?.gateway?;
            Some(Route {
                next_hop: Some(gateway.to_string()),
                destination_prefix: Some(all_like(gateway).to_owned()),
                metric: None,
            })
        };
        let routes: Vec<Route> = families.iter().filter_map(route).collect();
        if !families.is_empty() {
            document.routes = Some(routes);
        }
    }
    let own = document
        .dns
        .as_ref()
        .and_then(|dns| dns.server_list.as_ref());
    if own.is_none_or(Vec::is_empty)
        && let Some(servers) = network
            .document
            .dns
            .as_ref()
            .and_then(|dns| dns.server_list.clone())
    {
        document.dns.get_or_insert_default().server_list = Some(servers);
    }
}

fn routes(network: &Network, routes: &[Route]) -> Result<Vec<(Prefix, IpAddr, u16)>, Failure> {
    let read = |(at, route): (usize, &Route)| {
        let place = format!("/Routes/{at}/NextHop");
        let text = route.next_hop.as_deref().unwrap_or_default();
        let next_hop: IpAddr = text.parse().map_err(|_| {
            let what = format!("{} is no IP address", quote(text));
            refused(HResult::HCN_E_INVALID_IP, &*place, what)
        })?;
        if network.pool_of(next_hop).is_none() {
            let what = format!("{next_hop} is in no subnet of the network");
            return Err(refused(HResult::HCN_E_INVALID_IP_SUBNET, place, what));
        }
        let text = match is_default(route) {
            true => all_like(next_hop),
            false => route.destination_prefix.as_deref().unwrap_or_default(),
        };
        let destination = text.parse::<Prefix>().ok();
        let destination = destination.filter(|to| to.is_ipv4() == next_hop.is_ipv4());
        let destination = destination.ok_or_else(|| {
            let what = format!(
                "{} is no prefix of the same kind as the next hop {next_hop}",
                quote(text)
            );
            refused(
                HResult::HCN_E_INVALID_PREFIX,
                format!("/Routes/{at}/DestinationPrefix"),
                what,
            )
        })?;
        Ok((destination, next_hop, route.metric.unwrap_or(0)))
    };
    routes.iter().enumerate().map(read).collect()
}

/// A document may name the network that its endpoint is made in, and no other.
fn names_its_network(document: &HostComputeEndpoint, network_id: Guid) -> Result<(), Failure> {
    let named = version1::id(document.host_compute_network.as_ref());
    if named == Guid::NONE || named == network_id {
        return Ok(());
    }
    let what = format!("{named} is not the network {network_id} that the endpoint is created in");
    Err(refused(
        HResult::HCN_E_INVALID_JSON_REFERENCE,
        "/HostComputeNetwork",
        what,
    ))
}
