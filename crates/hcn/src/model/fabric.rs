//! What a network stands on: an adapter of the host, or tunnels to other hosts. Its policies say so.

use std::net::Ipv4Addr;

use hcs_schema::{Failure, HResult, fault::quote};
use serde_json::Value;

use super::State;
use crate::{
    address::{Mac, Prefix},
    documents::{
        HostComputeNetwork, NetworkPolicy, NetworkPolicyType, NetworkType, SubnetPolicyType,
        fabric::{
            DrMacAddress, InterfaceConstraint, Isolation, NetAdapterName, ProviderAddress,
            RemoteSubnetRoute, VxlanPort,
        },
        policy::settings_of,
    },
    guid::Guid,
    plan::Pool,
    reading::refused,
};

/// The port of VXLAN that is registered for it.
const VXLAN_PORT: u16 = 4789;
/// The number of an overlay where none is named, as on Windows.
const USUAL_NUMBER: u32 = 4096;
/// The most that a number of an overlay has bits for.
const MOST_NUMBER: u32 = (1 << 24) - 1;
/// The most subnets on other hosts of one network: each is a route of the host.
const MOST_SUBNETS: usize = 1024;

/// What a network stands on; nothing but a bridge of its own where both are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fabric {
    /// The adapter of the host whose network the endpoints are in, or that tunnels leave by.
    pub adapter: Option<String>,
    /// Tunnels to other hosts.
    pub tunnel: Option<Tunnel>,
}

/// Tunnels of VXLAN to other hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// The number that tells the network from others of the same hosts.
    pub number: u32,
    /// The port of UDP.
    pub port: u16,
    /// The address of this host that others send to.
    pub local: Option<Ipv4Addr>,
    /// The hardware address that other hosts send to what they route to this one.
    pub router: Option<Mac>,
    /// Subnets on other hosts.
    pub subnets: Vec<RemoteSubnet>,
}

/// A subnet on another host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteSubnet {
    /// The subnet.
    pub to: Prefix,
    /// The address of the other host.
    pub provider: Ipv4Addr,
    /// The hardware address of its router.
    pub router: Mac,
}

impl Fabric {
    /// Whether only what may change of a network differs: subnets on other hosts.
    pub(super) fn can_become(&self, other: &Self) -> bool {
        let fixed = |fabric: &Self| {
            let mut fabric = fabric.clone();
            if let Some(tunnel) = &mut fabric.tunnel {
                tunnel.subnets.clear();
            }
            fabric
        };
        fixed(self) == fixed(other)
    }
}

/// Whether networks of this type are on an adapter of the host.
pub(super) const fn is_uplinked(kind: NetworkType) -> bool {
    matches!(kind, NetworkType::Transparent | NetworkType::L2Bridge)
}

/// Reads what the policies of a network say.
pub(super) fn fabric(document: &HostComputeNetwork) -> Result<Fabric, Failure> {
    let kind = document.kind.unwrap_or(NetworkType::Nat);
    let mut fabric = Fabric::default();
    if kind == NetworkType::Overlay {
        fabric.tunnel = Some(Tunnel {
            number: number(document)?,
            port: VXLAN_PORT,
            local: None,
            router: None,
            subnets: Vec::new(),
        });
    }
    for (at, policy) in document.policies.iter().flatten().enumerate() {
        belongs(kind, policy, at)?;
        let pointer = format!("/Policies/{at}/Settings");
        if let Some(adapter) = adapter(policy, &pointer)? {
            if fabric
                .adapter
                .as_ref()
                .is_some_and(|other| *other != adapter)
            {
                let what = "a network is on one adapter, and another policy names another one";
                return Err(refused(HResult::HCN_E_INVALID_POLICY, pointer, what));
            }
            fabric.adapter = Some(adapter);
        } else if let Some(tunnel) = &mut fabric.tunnel {
            read_tunnel(tunnel, policy, &pointer)?;
        }
    }
    Ok(fabric)
}

/// Refuses a network that is to be on an adapter and names none. Which network of the host its endpoints are put into
/// is not guessed: their addresses may be those of others there, and a switch may shut a port with several cards.
pub(super) fn has_adapter(
    kind: NetworkType,
    fabric: &Fabric,
    adapters: &[String],
) -> Result<(), Failure> {
    /// The most that a sentence names.
    const FEW: usize = 8;
    if !is_uplinked(kind) || fabric.adapter.is_some() {
        return Ok(());
    }
    let named = adapters.iter().take(FEW).map(String::as_str);
    let named = named.collect::<Vec<_>>().join(", ");
    let there = match adapters.len() {
        0 => "\"ip link\" lists those there are".to_owned(),
        count if count <= FEW => format!("there are {named}"),
        count => format!("there are {named} and {} more", count - FEW),
    };
    let what = format!(
        "the network needs an adapter of the host: name it in a policy of type NetAdapterName; {there}"
    );
    Err(refused(HResult::HCN_E_ADAPTER_NOT_FOUND, "/Policies", what))
}

/// Refuses a policy that networks of this type do not have.
fn belongs(kind: NetworkType, policy: &NetworkPolicy, at: usize) -> Result<(), Failure> {
    let of_adapters = is_uplinked(kind) || kind == NetworkType::Overlay;
    let (types, place) = match policy.kind {
        Some(NetworkPolicyType::NetAdapterName) if !of_adapters => (
            "Transparent, L2Bridge and Overlay",
            "Settings/NetworkAdapterName",
        ),
        Some(NetworkPolicyType::InterfaceConstraint) if !of_adapters => {
            ("Transparent, L2Bridge and Overlay", "Type")
        }
        Some(
            NetworkPolicyType::ProviderAddress
            | NetworkPolicyType::DrMacAddress
            | NetworkPolicyType::RemoteSubnetRoute
            | NetworkPolicyType::VxlanPort,
        ) if kind != NetworkType::Overlay => ("Overlay", "Type"),
        _ => return Ok(()),
    };
    let what = format!("networks of type {types} have such a policy, and no others");
    let pointer = format!("/Policies/{at}/{place}");
    Err(refused(HResult::HCN_E_INVALID_POLICY, pointer, what))
}

/// The adapter that a policy names.
fn adapter(policy: &NetworkPolicy, pointer: &str) -> Result<Option<String>, Failure> {
    let settings = policy.settings.as_ref();
    let (name, property) = match policy.kind {
        Some(NetworkPolicyType::NetAdapterName) => {
            let asked: NetAdapterName = settings_of(settings);
            (asked.network_adapter_name, "NetworkAdapterName")
        }
        Some(NetworkPolicyType::InterfaceConstraint) => {
            (alias(settings, pointer)?, "InterfaceAlias")
        }
        _ => return Ok(None),
    };
    let name = name.unwrap_or_default();
    let pointer = format!("{pointer}/{property}");
    if is_name_of_link(&name) {
        return Ok(Some(name));
    }
    let what = format!(
        "the host has no adapter {}; expected the name of one, as \"ip link\" shows it, with at most 15 characters",
        quote(&name)
    );
    Err(refused(HResult::HCN_E_ADAPTER_NOT_FOUND, pointer, what))
}

/// The name that an interface constraint has. By what else it says no adapter of Linux is found.
fn alias(settings: Option<&Value>, pointer: &str) -> Result<Option<String>, Failure> {
    let asked: InterfaceConstraint = settings_of(settings);
    let guid = asked.interface_guid.as_deref().unwrap_or_default();
    let is_set = [
        (
            guid.chars()
                .any(|digit| digit.is_ascii_hexdigit() && digit != '0'),
            "InterfaceGuid",
        ),
        (asked.interface_luid.unwrap_or(0) != 0, "InterfaceLuid"),
        (asked.interface_index.unwrap_or(0) != 0, "InterfaceIndex"),
        (
            asked.interface_media_type.unwrap_or(0) != 0,
            "InterfaceMediaType",
        ),
        (
            asked
                .interface_description
                .as_deref()
                .is_some_and(|text| !text.is_empty()),
            "InterfaceDescription",
        ),
    ];
    match is_set.iter().find(|(is_set, _)| *is_set) {
        None => Ok(asked.interface_alias),
        Some((_, name)) => {
            let what =
                "it is not supported: an adapter of Linux is found by its name, in InterfaceAlias";
            let pointer = format!("{pointer}/{name}");
            Err(refused(HResult::HCN_E_REQUEST_UNSUPPORTED, pointer, what))
        }
    }
}

/// Whether the kernel can have a link of this name.
fn is_name_of_link(name: &str) -> bool {
    const MOST: usize = 15;
    let plain =
        |character: char| !character.is_whitespace() && !matches!(character, '/' | ':' | '\0');
    !matches!(name, "" | "." | "..") && name.len() <= MOST && name.chars().all(plain)
}

/// The number of an overlay: that of its first subnet with one.
fn number(document: &HostComputeNetwork) -> Result<u32, Failure> {
    let mut found: Option<u32> = None;
    for (at, ipam) in document.ipams.iter().flatten().enumerate() {
        for (index, subnet) in ipam.subnets.iter().flatten().enumerate() {
            for (place, policy) in subnet.policies.iter().flatten().enumerate() {
                if policy.kind != Some(SubnetPolicyType::Vsid) {
                    continue;
                }
                let pointer =
                    format!("/Ipams/{at}/Subnets/{index}/Policies/{place}/Settings/IsolationId");
                let asked: Isolation = settings_of(policy.settings.as_ref());
                let number = asked.isolation_id.unwrap_or(0);
                if !(1..=MOST_NUMBER).contains(&number) {
                    let what = format!("found {number}; expected a number from 1 to {MOST_NUMBER}");
                    return Err(refused(HResult::HCN_E_INVALID_POLICY, pointer, what));
                }
                if found.is_some_and(|other| other != number) {
                    let what = "all subnets of a network have one number here";
                    return Err(refused(HResult::HCN_E_REQUEST_UNSUPPORTED, pointer, what));
                }
                found = Some(number);
            }
        }
    }
    Ok(found.unwrap_or(USUAL_NUMBER))
}

/// Subnets of networks of other types have no number.
pub(super) fn check_subnet_policies(document: &HostComputeNetwork) -> Result<(), Failure> {
    if document.kind == Some(NetworkType::Overlay) {
        return Ok(());
    }
    for (at, ipam) in document.ipams.iter().flatten().enumerate() {
        for (index, subnet) in ipam.subnets.iter().flatten().enumerate() {
            if subnet.policies.as_ref().is_some_and(|all| !all.is_empty()) {
                let what = "subnets of networks of type Overlay have such policies, and no others";
                let pointer = format!("/Ipams/{at}/Subnets/{index}/Policies");
                return Err(refused(HResult::HCN_E_INVALID_POLICY, pointer, what));
            }
        }
    }
    Ok(())
}

fn read_tunnel(tunnel: &mut Tunnel, policy: &NetworkPolicy, pointer: &str) -> Result<(), Failure> {
    let settings = policy.settings.as_ref();
    match policy.kind {
        Some(NetworkPolicyType::VxlanPort) => {
            let asked: VxlanPort = settings_of(settings);
            let port = asked.port.filter(|port| *port > 0).ok_or_else(|| {
                let what = "a port from 1 to 65535 is expected";
                refused(
                    HResult::HCN_E_INVALID_POLICY,
                    format!("{pointer}/Port"),
                    what,
                )
            })?;
            tunnel.port = port;
        }
        Some(NetworkPolicyType::ProviderAddress) => {
            let asked: ProviderAddress = settings_of(settings);
            let text = asked.provider_address.unwrap_or_default();
            tunnel.local = Some(provider(&text, &format!("{pointer}/ProviderAddress"))?);
        }
        Some(NetworkPolicyType::DrMacAddress) => {
            let asked: DrMacAddress = settings_of(settings);
            let text = asked.address.unwrap_or_default();
            tunnel.router = Some(card(&text, &format!("{pointer}/Address"))?);
        }
        Some(NetworkPolicyType::RemoteSubnetRoute) => {
            let subnet = remote_subnet(tunnel, settings, pointer)?;
            tunnel.subnets.push(subnet);
        }
        _ => {}
    }
    Ok(())
}

fn remote_subnet(
    tunnel: &Tunnel,
    settings: Option<&Value>,
    pointer: &str,
) -> Result<RemoteSubnet, Failure> {
    let asked: RemoteSubnetRoute = settings_of(settings);
    if tunnel.subnets.len() >= MOST_SUBNETS {
        let what = format!("a network has up to {MOST_SUBNETS} subnets on other hosts");
        return Err(refused(HResult::HCN_E_INVALID_POLICY, pointer, what));
    }
    let text = asked.destination_prefix.unwrap_or_default();
    let place = format!("{pointer}/DestinationPrefix");
    let to: Prefix = text.parse().map_err(|_| {
        let what = format!(
            "{} is no prefix; expected one like 10.1.2.0/24",
            quote(&text)
        );
        refused(HResult::HCN_E_INVALID_PREFIX, &*place, what)
    })?;
    if !to.is_ipv4() || !to.is_for_hosts() || to.length() > 30 {
        let what = format!("{to} is no subnet of IPv4 for endpoints, with a length from 8 to 30");
        return Err(refused(HResult::HCN_E_INVALID_SUBNET, place, what));
    }
    if tunnel.subnets.iter().any(|other| other.to.overlaps(to)) {
        let what = format!("another route of the network leads to addresses of {to}");
        return Err(refused(HResult::HCN_E_INVALID_SUBNET, place, what));
    }
    let number = asked.isolation_id.unwrap_or(tunnel.number);
    if number != tunnel.number {
        let what = format!(
            "found {number}; expected {}, which the subnets of this network have: hosts talk within one number here",
            tunnel.number
        );
        let pointer = format!("{pointer}/IsolationId");
        return Err(refused(HResult::HCN_E_REQUEST_UNSUPPORTED, pointer, what));
    }
    let address = asked.provider_address.unwrap_or_default();
    let router = asked.distributed_router_mac_address.unwrap_or_default();
    let place = format!("{pointer}/DistributedRouterMacAddress");
    let subnet = RemoteSubnet {
        to,
        provider: provider(&address, &format!("{pointer}/ProviderAddress"))?,
        router: card(&router, &place)?,
    };
    match tunnel.host_of_router(subnet.router) {
        Some(other) if other != subnet.provider => {
            let what = format!(
                "another route of the network has the router {} on the host {other}, and a hardware address is on one host",
                subnet.router
            );
            Err(refused(HResult::HCN_E_INVALID_POLICY, place, what))
        }
        _ => Ok(subnet),
    }
}

impl Tunnel {
    /// The host that a router of subnets elsewhere is on.
    pub(super) fn host_of_router(&self, router: Mac) -> Option<Ipv4Addr> {
        let mut subnets = self.subnets.iter();
        let subnet = subnets.find(|subnet| subnet.router == router)?;
        Some(subnet.provider)
    }
}

impl State {
    /// Refuses subnets elsewhere whose addresses the host reaches in another way: `taken` are the prefixes that other
    /// networks and routes of the host have, `own` those of the network itself.
    pub(super) fn lead_nowhere_else(
        document: &HostComputeNetwork,
        fabric: &Fabric,
        own: &[Pool],
        taken: &[Prefix],
    ) -> Result<(), Failure> {
        let subnets = fabric.tunnel.iter().flat_map(|tunnel| &tunnel.subnets);
        let policies = document.policies.iter().flatten().enumerate();
        let routes = policies
            .filter(|(_, policy)| policy.kind == Some(NetworkPolicyType::RemoteSubnetRoute));
        for ((at, _), subnet) in routes.zip(subnets) {
            let own = own.iter().map(|pool| pool.prefix);
            let taken = taken.iter().copied().filter(|other| !other.is_wide());
            let mut others = own.chain(taken);
            if let Some(other) = others.find(|other| other.overlaps(subnet.to)) {
                let what = format!(
                    "{} shares addresses with {other}, to which this host has a network or another route; name another subnet",
                    subnet.to
                );
                let pointer = format!("/Policies/{at}/Settings/DestinationPrefix");
                return Err(refused(HResult::HCN_E_INVALID_SUBNET, pointer, what));
            }
        }
        Ok(())
    }

    /// Refuses a router of subnets elsewhere that is the card of an endpoint on another host than that.
    pub(super) fn routers_are_no_cards(&self, id: Guid, fabric: &Fabric) -> Result<(), Failure> {
        let Some(tunnel) = &fabric.tunnel else {
            return Ok(());
        };
        for (other, endpoint) in self.endpoints_of(id) {
            let host = tunnel.host_of_router(endpoint.mac);
            if host.is_some() && host != endpoint.terms.provider {
                let what = format!(
                    "the router {} of a subnet is the card of the endpoint {other} on another host",
                    endpoint.mac
                );
                let pointer = "/Settings/Policies";
                return Err(refused(HResult::HCN_E_INVALID_POLICY, pointer, what));
            }
        }
        Ok(())
    }
}

/// The address of a host below an overlay.
pub(super) fn provider(text: &str, pointer: &str) -> Result<Ipv4Addr, Failure> {
    let address = text.parse::<Ipv4Addr>().ok();
    let single = |address: &Ipv4Addr| {
        !address.is_unspecified()
            && !address.is_multicast()
            && !address.is_loopback()
            && !address.is_broadcast()
    };
    address.filter(single).ok_or_else(|| {
        let what = format!("{} is no IPv4 address of a host", quote(text));
        refused(HResult::HCN_E_INVALID_IP, pointer, what)
    })
}

fn card(text: &str, pointer: &str) -> Result<Mac, Failure> {
    let mac = text.parse::<Mac>().ok().filter(|mac| mac.is_single());
    mac.ok_or_else(|| {
        let what = format!("{} is no address of a single network card", quote(text));
        refused(HResult::HCN_E_INVALID_POLICY, pointer, what)
    })
}
