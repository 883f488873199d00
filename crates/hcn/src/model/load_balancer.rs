//! Load balancers: addresses and ports whose connections are spread over endpoints.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv6Addr},
};

use hcs_schema::{Failure, HResult, documents::Version, fault::quote, win32};
use serde_json::Value;

use super::{Changes, Mapping, Object, Protocol, State, chosen};
use crate::{
    documents::{DistributionType, HostComputeLoadBalancer, LoadBalancerPortMapping},
    guid::Guid,
    reading::{check_texts, read, refused},
    version1,
};

/// The most load balancers.
pub const MOST_BALANCERS: usize = 256;
/// The most ports of all load balancers, each counted once for each of its addresses: the first packet of each
/// connection to the host is compared with all of them.
pub const MOST_BALANCED_PORTS: usize = 1024;
/// The most ports of one, and endpoints.
const MOST_PORTS: usize = 64;
const MOST_TARGETS: usize = 256;

/// Flags of a load balancer.
const DIRECT_RETURN: u32 = 1;
const IPV6: u32 = 2;
/// All flags of one of its ports.
const PORT_FLAGS: u32 = 0x1f;

/// An address and a port that a load balancer answers for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BalancedPort {
    /// Whether it is of IPv4, or else of IPv6.
    pub is_ipv4: bool,
    /// The address, of that family; all of the host where there is none.
    pub address: Option<IpAddr>,
    /// The protocol.
    pub protocol: Protocol,
    /// The port that clients use.
    pub external: u16,
    /// The port of the endpoints.
    pub internal: u16,
    /// How connections are spread.
    pub spread: Spread,
}

/// How connections are spread over endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// Each on its own.
    Connection,
    /// Those of one source and protocol go to the same endpoint.
    SourceAndProtocol,
    /// Those of one source go to the same endpoint.
    Source,
}

impl BalancedPort {
    /// Whether both are meant by the same packets. One of a single address comes before one of all of the host.
    fn collides(&self, other: &Self) -> bool {
        let place = |one: &Self| (one.is_ipv4, one.address, one.protocol, one.external);
        place(self) == place(other)
    }

    /// Whether a packet could be meant by a port that leads to one endpoint, and does not pass it by: one of a single
    /// address comes before a port that is published at all of the host. Ports of endpoints are of IPv4.
    pub(super) fn collides_with(&self, mapping: &Mapping) -> bool {
        let same_port = (self.protocol, self.external) == (mapping.protocol, mapping.external);
        self.is_ipv4 && same_port && (self.address.is_none() || self.address == mapping.address)
    }
}

/// Ids are told in one spelling: clients compare them as texts with others that the service told.
fn spell_ids(document: &mut HostComputeLoadBalancer) {
    let named = document.host_compute_endpoints.iter_mut().flatten();
    let named = named.chain(&mut document.host_compute_network);
    for text in named.filter(|text| !text.is_empty()) {
        *text = version1::id(Some(&*text)).to_string();
    }
}

/// A load balancer.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadBalancer {
    pub(crate) document: HostComputeLoadBalancer,
    pub(crate) network: Option<Guid>,
    pub(crate) endpoints: BTreeSet<Guid>,
    pub(crate) is_ipv4: bool,
    pub(crate) ports: Vec<BalancedPort>,
    /// The source address that endpoints see, in the place of the client's.
    pub(crate) source: Option<IpAddr>,
}

impl LoadBalancer {
    /// Its document, in version 2.
    #[must_use]
    pub const fn document(&self) -> &HostComputeLoadBalancer {
        &self.document
    }

    /// Its ports, each once for each of its addresses.
    #[must_use]
    pub fn ports(&self) -> &[BalancedPort] {
        &self.ports
    }
}

impl State {
    /// Creates a load balancer. `given` is the id that the client gave, or one that the service chose.
    ///
    /// # Errors
    /// A refusal by pointer; `HCN_E_POLICY_ALREADY_EXISTS` for an id that is taken.
    pub fn create_load_balancer(
        &mut self,
        given: Guid,
        settings: &str,
    ) -> Result<Changes, Failure> {
        let document: HostComputeLoadBalancer = read(settings)?;
        check_texts(document.name.as_ref(), document.owner.as_ref())?;
        let there = self.load_balancers.len();
        if there >= MOST_BALANCERS {
            let message =
                format!("there are {there} load balancers, and no more are made; delete some");
            let code = HResult::from_win32(win32::ERROR_NO_SYSTEM_RESOURCES);
            return Err(Failure::new(code, message));
        }
        let id = chosen(given, document.id.as_ref())?;
        if self.load_balancers.contains_key(&id) {
            let message = format!("there is a load balancer with the id {id} already");
            return Err(Failure::new(HResult::HCN_E_POLICY_ALREADY_EXISTS, message));
        }
        let made = self.balancer(id, document)?;
        self.can_answer(&made)?;
        self.load_balancers.insert(id, made);
        Ok(Changes::one(id, Object::LoadBalancer(id)))
    }

    /// Replaces a load balancer as a whole.
    ///
    /// # Errors
    /// As for its creation; `HRESULT_FROM_WIN32(ERROR_NOT_FOUND)`.
    pub fn modify_load_balancer(&mut self, id: Guid, settings: &str) -> Result<Changes, Failure> {
        self.load_balancer(id)?;
        let made = self.balancer(id, read(settings)?)?;
        self.can_answer(&made)?;
        self.load_balancers.insert(id, made);
        Ok(Changes::one(id, Object::LoadBalancer(id)))
    }

    pub(super) fn balancer(
        &self,
        id: Guid,
        mut document: HostComputeLoadBalancer,
    ) -> Result<LoadBalancer, Failure> {
        let named = version1::id(document.host_compute_network.as_ref());
        let network = (named != Guid::NONE).then_some(named);
        if let Some(network) = network {
            self.network(network)?;
        }
        let flags = document.flags.unwrap_or(0);
        if flags & !(DIRECT_RETURN | IPV6) != 0 {
            let what = format!(
                "{flags} has bits that no flag has; expected a sum of DSR (1) and IPv6 (2)"
            );
            return Err(refused(HResult::HCN_E_INVALID_JSON, "/Flags", what));
        }
        let is_ipv4 = flags & IPV6 == 0;
        let ports = ports(&document, is_ipv4)?;
        self.are_free(id, &ports)?;
        let source = match document.source_vip.as_deref() {
            None | Some("") => None,
            Some(text) => Some(address(text, is_ipv4, "/SourceVIP")?),
        };
        let endpoints = self.endpoints_led_to(&document, is_ipv4)?;
        document.id = Some(id.to_string());
        spell_ids(&mut document);
        document.schema_version = Some(Version {
            major: Some(2),
            minor: Some(0),
        });
        Ok(LoadBalancer {
            document,
            network,
            endpoints,
            is_ipv4,
            ports,
            source,
        })
    }

    /// The endpoints that a document names, each of which can be led to.
    fn endpoints_led_to(
        &self,
        document: &HostComputeLoadBalancer,
        is_ipv4: bool,
    ) -> Result<BTreeSet<Guid>, Failure> {
        let mut endpoints = BTreeSet::new();
        for (at, text) in document.host_compute_endpoints.iter().flatten().enumerate() {
            let endpoint = text.parse().unwrap_or_default();
            if !self.endpoints.contains_key(&endpoint) {
                let pointer = format!("/HostComputeEndpoints/{at}");
                let what = format!("there is no endpoint with the id {endpoint}");
                return Err(refused(HResult::HCN_E_ENDPOINT_NOT_FOUND, pointer, what));
            }
            self.can_be_led_to(endpoint, is_ipv4, at)?;
            endpoints.insert(endpoint);
        }
        if endpoints.len() > MOST_TARGETS {
            let what = format!(
                "{} endpoints are too many; a load balancer has up to {MOST_TARGETS}",
                endpoints.len()
            );
            let pointer = "/HostComputeEndpoints";
            return Err(refused(HResult::HCN_E_INVALID_POLICY, pointer, what));
        }
        Ok(endpoints)
    }

    /// Whether the host can lead connections to this endpoint.
    fn can_be_led_to(&self, id: Guid, is_ipv4: bool, at: usize) -> Result<(), Failure> {
        let endpoint = self.endpoint(id)?;
        let network = self.network(endpoint.network)?;
        // To those on another host each host leads by itself: answers would go past this one.
        let is_overlaid = network.fabric.tunnel.is_some() && network.has_host();
        let is_reached = network.is_translated() || (is_overlaid && !endpoint.is_remote());
        if is_reached && endpoint.address_of(is_ipv4).is_some() {
            return Ok(());
        }
        let kind = if is_ipv4 { "IPv4" } else { "IPv6" };
        let what = format!(
            "connections are led to endpoints of this host with an {kind} address, in networks of type NAT, ICS and Overlay \
             that the host is in, and {id} is not such"
        );
        let pointer = format!("/HostComputeEndpoints/{at}");
        Err(refused(HResult::HCN_E_MAPPING_NOT_SUPPORTED, pointer, what))
    }

    /// Whether endpoints have a way back to the source of IPv6 that they see. No network gives one for all addresses,
    /// as those of IPv4 do.
    fn can_answer(&self, made: &LoadBalancer) -> Result<(), Failure> {
        let Some(source) = made.source.filter(IpAddr::is_ipv6) else {
            return Ok(());
        };
        let named = made.document.host_compute_endpoints.iter().flatten();
        for (at, text) in named.enumerate() {
            let id = text.parse().unwrap_or_default();
            if self.endpoint(id)?.reaches(source) {
                continue;
            }
            let what = format!(
                "the endpoint {id} has no route to the address {source} of SourceVIP, so no answer would come back: give it \
                 one in its Routes, or leave SourceVIP out"
            );
            let pointer = format!("/HostComputeEndpoints/{at}");
            return Err(refused(HResult::HCN_E_MAPPING_NOT_SUPPORTED, pointer, what));
        }
        Ok(())
    }

    /// Whether no other load balancer, and no port of an endpoint, is meant by the same packets.
    fn are_free(&self, id: Guid, ports: &[BalancedPort]) -> Result<(), Failure> {
        let others = self
            .load_balancers
            .iter()
            .filter(|(other, _)| **other != id);
        let others: Vec<&BalancedPort> = others.flat_map(|(_, one)| &one.ports).collect();
        let taken = |at: usize, port: &BalancedPort| {
            let mappings = self.endpoints.values().flat_map(|one| &one.terms.mappings);
            ports.iter().take(at).any(|other| other.collides(port))
                || others.iter().any(|other| other.collides(port))
                || mappings
                    .into_iter()
                    .any(|mapping| port.collides_with(mapping))
        };
        if let Some((_, port)) = (ports.iter().enumerate()).find(|(at, port)| taken(*at, port)) {
            let what = format!("the port {} leads elsewhere already", port.external);
            return Err(refused(
                HResult::HCN_E_PORT_ALREADY_EXISTS,
                "/PortMappings",
                what,
            ));
        }
        if ports.len() > MOST_PORTS || others.len() + ports.len() > MOST_BALANCED_PORTS {
            let what = format!(
                "there are {} ports of this load balancer and {} of others, each counted for each of its addresses: up to \
                 {MOST_PORTS} are made of one and {MOST_BALANCED_PORTS} in all",
                ports.len(),
                others.len()
            );
            return Err(refused(
                HResult::HCN_E_INVALID_POLICY,
                "/PortMappings",
                what,
            ));
        }
        Ok(())
    }

    /// Takes an endpoint that goes out of all load balancers.
    pub(super) fn balance_without(&mut self, endpoint: Guid, changes: &mut Changes) {
        for (id, one) in &mut self.load_balancers {
            if !one.endpoints.remove(&endpoint) {
                continue;
            }
            let named = one.document.host_compute_endpoints.get_or_insert_default();
            named.retain(|text| text.parse() != Ok(endpoint));
            changes.written.push(Object::LoadBalancer(*id));
        }
    }

    /// Deletes a load balancer.
    ///
    /// # Errors
    /// `HRESULT_FROM_WIN32(ERROR_NOT_FOUND)`.
    pub fn delete_load_balancer(&mut self, id: Guid) -> Result<Changes, Failure> {
        self.load_balancer(id)?;
        self.load_balancers.remove(&id);
        Ok(Changes {
            id,
            removed: vec![Object::LoadBalancer(id)],
            ..Changes::default()
        })
    }
}

/// The addresses and ports that a document names.
fn ports(document: &HostComputeLoadBalancer, is_ipv4: bool) -> Result<Vec<BalancedPort>, Failure> {
    let mut addresses = Vec::new();
    for (at, text) in document.frontend_vips.iter().flatten().enumerate() {
        addresses.push(match (text.as_str(), is_ipv4) {
            ("", _) | ("0.0.0.0", true) | ("::", false) => None,
            (text, _) => Some(address(text, is_ipv4, &format!("/FrontendVIPs/{at}"))?),
        });
    }
    if addresses.is_empty() {
        addresses.push(None);
    }
    let mut ports = Vec::new();
    for (at, mapping) in document.port_mappings.iter().flatten().enumerate() {
        for address in &addresses {
            let place = (is_ipv4, *address);
            ports.push(port(mapping, place, &format!("/PortMappings/{at}"))?);
        }
    }
    Ok(ports)
}

fn port(
    mapping: &LoadBalancerPortMapping,
    (is_ipv4, address): (bool, Option<IpAddr>),
    pointer: &str,
) -> Result<BalancedPort, Failure> {
    let wrong = |name: &str, found: Option<Value>, expected: &str| {
        let found = found.map_or("nothing".to_owned(), |value| value.to_string());
        let what = format!("found {found}; expected {expected}");
        refused(
            HResult::HCN_E_INVALID_POLICY,
            format!("{pointer}/{name}"),
            what,
        )
    };
    let protocol = match mapping.protocol {
        Some(6) => Protocol::Tcp,
        Some(17) => Protocol::Udp,
        other => {
            let found = other.map(Value::from);
            return Err(wrong("Protocol", found, "6 for TCP or 17 for UDP"));
        }
    };
    let number = |number: Option<u16>, name: &str| {
        let fine = number.filter(|number| *number > 0);
        fine.ok_or_else(|| wrong(name, number.map(Value::from), "a port from 1 to 65535"))
    };
    let flags = mapping.flags.unwrap_or(0);
    if flags & !PORT_FLAGS != 0 {
        return Err(wrong(
            "Flags",
            Some(flags.into()),
            "a sum of 1, 2, 4, 8 and 16",
        ));
    }
    Ok(BalancedPort {
        is_ipv4,
        address,
        protocol,
        external: number(mapping.external_port, "ExternalPort")?,
        internal: number(mapping.internal_port, "InternalPort")?,
        spread: match mapping.distribution_type {
            None | Some(DistributionType::None) => Spread::Connection,
            Some(DistributionType::SourceIpProtocol) => Spread::SourceAndProtocol,
            Some(DistributionType::SourceIp) => Spread::Source,
        },
    })
}

fn address(text: &str, is_ipv4: bool, pointer: &str) -> Result<IpAddr, Failure> {
    let parsed: Option<IpAddr> = text.parse().ok();
    let is_plain = |address: &IpAddr| {
        let is_of_one = match address {
            IpAddr::V4(address) => !address.is_broadcast(),
            IpAddr::V6(address) => !is_on_link(*address) && address.to_ipv4_mapped().is_none(),
        };
        is_of_one
            && address.is_ipv4() == is_ipv4
            && !address.is_loopback()
            && !address.is_multicast()
            && !address.is_unspecified()
    };
    parsed.filter(is_plain).ok_or_else(|| {
        let (kind, hint) = match is_ipv4 {
            true => ("IPv4", "; one of IPv6 needs the flag IPv6 (2) in Flags"),
            false => ("IPv6", "; the flag IPv6 (2) in Flags says so"),
        };
        let what = format!(
            "{} is no address of {kind} that connections can have{hint}",
            quote(text)
        );
        refused(HResult::HCN_E_INVALID_IP, pointer, what)
    })
}

/// Whether an address counts on one link only (`fe80::/10`).
const fn is_on_link(address: Ipv6Addr) -> bool {
    address.segments()[0] & 0xffc0 == 0xfe80
}
