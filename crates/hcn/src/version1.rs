//! Between the versions: documents of version 1 become ones of version 2 when they come, and the other way round when a
//! client asks for them. The model knows version 2 only.

use hcs_schema::{Failure, HResult};
use serde_json::{Value, json};

use crate::{
    coverage::ISOLATED,
    documents::{
        Dns, EndpointPolicy, EndpointPolicyType, HostComputeEndpoint, HostComputeNetwork,
        IpConfiguration, Ipam, MacPool, NetworkPolicy, NetworkPolicyType, NetworkType, Route,
        Subnet,
        fabric::NetAdapterName,
        policy::{PortMapping, settings_of},
        version1::{HnsEndpoint, HnsNetwork, HnsSubnet},
    },
    guid::Guid,
    reading::{read, refused},
};

/// Properties of networks that version 1 has not.
pub(crate) const NETWORK_2: &[&str] = &["Ipams", "MacPool", "Dns"];
/// Properties of endpoints that version 1 has not.
pub(crate) const ENDPOINT_2: &[&str] = &["HostComputeNetwork", "IpConfigurations", "Dns"];

const ALL_V4: &str = "0.0.0.0/0";
const ALL_V6: &str = "::/0";

/// Where a value of version 2 stands in version 1: the beginning of its pointer there, and here.
const POINTERS: &[(&str, &str)] = &[
    ("/Ipams/0/Subnets", "/Subnets"),
    ("/MacPool/Ranges", "/MacPools"),
    (
        "/Policies/0/Settings/NetworkAdapterName",
        "/NetworkAdapterName",
    ),
    ("/IpConfigurations/0/IpAddress", "/IPAddress"),
    ("/IpConfigurations/0/PrefixLength", "/PrefixLength"),
    ("/IpConfigurations/1/IpAddress", "/IPv6Address"),
    ("/IpConfigurations/1/PrefixLength", "/IPv6PrefixLength"),
    ("/Routes/0/NextHop", "/GatewayAddress"),
    ("/Routes/1/NextHop", "/GatewayAddressV6"),
    ("/Dns/ServerList", "/DNSServerList"),
];

/// The same failure, with the pointers of version 1.
pub(crate) fn pointed(mut failure: Failure) -> Failure {
    let place = |pointer: &str| {
        let found = POINTERS.iter().find(|(new, _)| pointer.starts_with(new));
        let place = found.map_or(pointer.to_owned(), |(new, old)| {
            pointer.replacen(new, old, 1)
        });
        place
            .replace("/IpAddressPrefix", "/AddressPrefix")
            .replace("/Routes/0/NextHop", "/GatewayAddress")
    };
    for cause in &mut failure.causes {
        if let Some(pointer) = &mut cause.pointer {
            let old = place(pointer);
            failure.message = failure.message.replace(pointer.as_str(), &old);
            *pointer = old;
        }
    }
    failure
}

/// A list that version 1 writes with commas.
fn list(text: Option<&String>) -> Option<Vec<String>> {
    let items = text?
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty());
    let items: Vec<String> = items.map(str::to_owned).collect();
    (!items.is_empty()).then_some(items)
}

fn dns(suffix: Option<&String>, servers: Option<&String>) -> Option<Dns> {
    let dns = Dns {
        domain: suffix.filter(|text| !text.is_empty()).cloned(),
        server_list: list(servers),
        ..Dns::default()
    };
    (dns != Dns::default()).then_some(dns)
}

fn given(text: Option<&String>) -> Option<String> {
    text.filter(|text| !text.is_empty()).cloned()
}

fn default_route(gateway: Option<&String>) -> Option<Route> {
    let next_hop = given(gateway)?;
    let all = if next_hop.contains(':') {
        ALL_V6
    } else {
        ALL_V4
    };
    Some(Route {
        next_hop: Some(next_hop),
        destination_prefix: Some(all.to_owned()),
        metric: None,
    })
}

/// Reads a network of version 1.
pub(crate) fn read_network(text: &str) -> Result<HostComputeNetwork, Failure> {
    let old: HnsNetwork = read(text)?;
    let unsupported = |name: &str, reason: &str| {
        let what = format!("it is not supported: {reason}");
        Err(refused(HResult::HCN_E_REQUEST_UNSUPPORTED, name, what))
    };
    if given(old.source_mac.as_ref()).is_some() {
        return unsupported(
            "/SourceMac",
            "endpoints have hardware addresses of their own, which nothing here rewrites",
        );
    }
    let adapter = given(old.network_adapter_name.as_ref()).map(|name| NetworkPolicy {
        kind: Some(NetworkPolicyType::NetAdapterName),
        settings: Some(json!({ "NetworkAdapterName": name })),
    });
    if old
        .policies
        .as_ref()
        .is_some_and(|policies| !policies.is_empty())
    {
        return unsupported(
            "/Policies",
            "policies of networks are read in version 2 only",
        );
    }
    for (at, subnet) in old.subnets.iter().flatten().enumerate() {
        if subnet
            .policies
            .as_ref()
            .is_some_and(|policies| !policies.is_empty())
        {
            let what = "policies of subnets are read in version 2 only";
            return unsupported(&format!("/Subnets/{at}/Policies"), what);
        }
    }
    let subnets = old
        .subnets
        .unwrap_or_default()
        .into_iter()
        .map(|subnet| Subnet {
            ip_address_prefix: subnet.address_prefix,
            routes: default_route(subnet.gateway_address.as_ref()).map(|route| vec![route]),
            ..Subnet::default()
        });
    let subnets: Vec<Subnet> = subnets.collect();
    Ok(HostComputeNetwork {
        id: old.id,
        owner: old.owner,
        name: old.name,
        kind: old.kind,
        policies: adapter.map(|adapter| vec![adapter]),
        mac_pool: old.mac_pools.map(|ranges| MacPool {
            ranges: Some(ranges),
        }),
        dns: dns(old.dns_suffix.as_ref(), old.dns_server_list.as_ref()),
        ipams: (!subnets.is_empty()).then(|| {
            vec![Ipam {
                kind: None,
                subnets: Some(subnets),
            }]
        }),
        flags: old.flags,
        ..HostComputeNetwork::default()
    })
}

/// Reads an endpoint of version 1.
pub(crate) fn read_endpoint(text: &str) -> Result<HostComputeEndpoint, Failure> {
    let old: HnsEndpoint = read(text)?;
    let unsupported = |name: &str, reason: &str| {
        let what = format!("it is not supported: {reason}");
        Err(refused(HResult::HCN_E_REQUEST_UNSUPPORTED, name, what))
    };
    if old.is_remote_endpoint == Some(true) {
        let reason = "a remote endpoint is made by a document of version 2";
        return unsupported("/IsRemoteEndpoint", reason);
    }
    if old.enable_internal_dns == Some(true) {
        return unsupported(
            "/EnableInternalDNS",
            "a resolver for endpoints is not built yet",
        );
    }
    if old.enable_low_metric == Some(true) {
        return unsupported("/EnableLowMetric", "it is not built yet");
    }
    if old.namespace.is_some() {
        let reason = "an endpoint goes into a namespace by a request to modify that";
        return unsupported("/Namespace", reason);
    }
    let mut configurations = Vec::new();
    let v4 = (given(old.ip_address.as_ref()), old.prefix_length);
    let v6 = (given(old.ipv6_address.as_ref()), old.ipv6_prefix_length);
    for (address, length) in [v4, v6] {
        configurations.extend(address.map(|address| IpConfiguration {
            ip_address: Some(address),
            prefix_length: length.filter(|length| *length > 0),
            ip_subnet_id: None,
        }));
    }
    let routes: Vec<Route> = [&old.gateway_address, &old.gateway_address_v6]
        .into_iter()
        .filter_map(|gateway| default_route(gateway.as_ref()))
        .collect();
    let isolated = if old.disable_icc == Some(true) {
        ISOLATED
    } else {
        0
    };
    Ok(HostComputeEndpoint {
        id: old.id,
        owner: old.owner,
        name: old.name,
        host_compute_network: old.virtual_network,
        policies: policies(&old.policies.unwrap_or_default(), old.encap_overhead)?,
        ip_configurations: (!configurations.is_empty()).then_some(configurations),
        dns: dns(
            old.dns_suffix.as_ref().or(old.dns_domain.as_ref()),
            old.dns_server_list.as_ref(),
        ),
        routes: (!routes.is_empty()).then_some(routes),
        mac_address: given(old.mac_address.as_ref()),
        flags: Some(old.flags.unwrap_or(0) | isolated),
        ..HostComputeEndpoint::default()
    })
}

/// Policies of version 1: `{"Type": "NAT", "Protocol": "TCP", "InternalPort": 80, "ExternalPort": 8080}`.
/// The overhead of an encapsulation stands beside them there.
fn policies(old: &[Value], overhead: Option<u16>) -> Result<Option<Vec<EndpointPolicy>>, Failure> {
    let mut new = Vec::new();
    for (at, policy) in old.iter().enumerate() {
        if policy["Type"] != "NAT" {
            let what = "the policy is not supported: of version 1 only NAT is read";
            let pointer = format!("/Policies/{at}/Type");
            return Err(refused(HResult::HCN_E_REQUEST_UNSUPPORTED, pointer, what));
        }
        let protocol = match policy["Protocol"].as_str() {
            Some(name) if name.eq_ignore_ascii_case("tcp") => json!(6),
            Some(name) if name.eq_ignore_ascii_case("udp") => json!(17),
            _ => policy["Protocol"].clone(),
        };
        let settings = json!({
            "Protocol": protocol,
            "InternalPort": policy["InternalPort"],
            "ExternalPort": policy["ExternalPort"],
        });
        let fits = ["InternalPort", "ExternalPort"].iter().all(|name| {
            settings[name]
                .as_u64()
                .is_some_and(|port| u16::try_from(port).is_ok())
        });
        if !fits || settings["Protocol"].as_u64().is_none() {
            let what =
                "the ports are numbers from 1 to 65535, and the protocol is \"TCP\" or \"UDP\"";
            return Err(refused(
                HResult::HCN_E_INVALID_JSON,
                format!("/Policies/{at}"),
                what,
            ));
        }
        new.push(EndpointPolicy {
            kind: Some(EndpointPolicyType::PortMapping),
            settings: Some(settings),
        });
    }
    if let Some(overhead) = overhead.filter(|overhead| *overhead > 0) {
        new.push(EndpointPolicy {
            kind: Some(EndpointPolicyType::EncapOverhead),
            settings: Some(json!({ "Overhead": overhead })),
        });
    }
    Ok((!new.is_empty()).then_some(new))
}

/// A network in version 1.
pub(crate) fn network(new: &HostComputeNetwork) -> HnsNetwork {
    let subnets = new
        .ipams
        .iter()
        .flatten()
        .flat_map(|ipam| ipam.subnets.iter().flatten());
    let subnets = subnets.map(|subnet| HnsSubnet {
        address_prefix: subnet.ip_address_prefix.clone(),
        gateway_address: gateway(subnet.routes.as_deref().unwrap_or_default(), None),
        policies: None,
        ip_subnets: None,
    });
    let servers = new.dns.as_ref().and_then(|dns| dns.server_list.as_ref());
    HnsNetwork {
        id: new.id.clone(),
        name: new.name.clone(),
        owner: new.owner.clone(),
        kind: Some(new.kind.unwrap_or(NetworkType::Nat)),
        network_adapter_name: adapter(new),
        mac_pools: new.mac_pool.as_ref().and_then(|pool| pool.ranges.clone()),
        subnets: Some(subnets.collect()),
        dns_suffix: new.dns.as_ref().and_then(|dns| dns.domain.clone()),
        dns_server_list: servers.map(|servers| servers.join(",")),
        flags: new.flags,
        state: Some(1),
        ..HnsNetwork::default()
    }
}

/// The adapter of the host that a network is on.
fn adapter(new: &HostComputeNetwork) -> Option<String> {
    let mut policies = new.policies.iter().flatten();
    let named = policies.find(|one| one.kind == Some(NetworkPolicyType::NetAdapterName))?;
    let named: NetAdapterName = settings_of(named.settings.as_ref());
    named.network_adapter_name
}

/// The router of all addresses, or of all of one version.
fn gateway(routes: &[Route], version_6: Option<bool>) -> Option<String> {
    let leads = |route: &&Route| {
        let destination = route.destination_prefix.as_deref();
        destination == Some(ALL_V6) && version_6 != Some(false)
            || destination == Some(ALL_V4) && version_6 != Some(true)
    };
    routes
        .iter()
        .find(leads)
        .and_then(|route| route.next_hop.clone())
}

/// An endpoint in version 1.
pub(crate) fn endpoint(
    new: &HostComputeEndpoint,
    network: Option<&HostComputeNetwork>,
) -> HnsEndpoint {
    let configurations = new.ip_configurations.as_deref().unwrap_or_default();
    let of = |version_6: bool| {
        configurations.iter().find(|one| {
            let address = one.ip_address.as_deref().unwrap_or_default();
            address.contains(':') == version_6
        })
    };
    let (v4, v6) = (of(false), of(true));
    let routes = new.routes.as_deref().unwrap_or_default();
    let servers = new.dns.as_ref().and_then(|dns| dns.server_list.as_ref());
    let mapped = new
        .policies
        .iter()
        .flatten()
        .filter(|policy| policy.kind == Some(EndpointPolicyType::PortMapping));
    let policies = mapped.map(|policy| {
        let mapping: PortMapping = settings_of(policy.settings.as_ref());
        let protocol = if mapping.protocol == Some(17) {
            "UDP"
        } else {
            "TCP"
        };
        json!({
            "Type": "NAT",
            "Protocol": protocol,
            "InternalPort": mapping.internal_port,
            "ExternalPort": mapping.external_port,
        })
    });
    let policies: Vec<Value> = policies.collect();
    let attached = new.host_compute_namespace.is_some();
    HnsEndpoint {
        id: new.id.clone(),
        name: new.name.clone(),
        owner: new.owner.clone(),
        virtual_network: new.host_compute_network.clone(),
        virtual_network_name: network.and_then(|network| network.name.clone()),
        policies: (!policies.is_empty()).then_some(policies),
        mac_address: new.mac_address.clone(),
        ip_address: v4.and_then(|one| one.ip_address.clone()),
        prefix_length: v4.and_then(|one| one.prefix_length),
        ipv6_address: v6.and_then(|one| one.ip_address.clone()),
        ipv6_prefix_length: v6.and_then(|one| one.prefix_length),
        gateway_address: gateway(routes, Some(false)),
        gateway_address_v6: gateway(routes, Some(true)),
        dns_suffix: new.dns.as_ref().and_then(|dns| dns.domain.clone()),
        dns_server_list: servers.map(|servers| servers.join(",")),
        disable_icc: new
            .flags
            .filter(|flags| flags & ISOLATED != 0)
            .map(|_| true),
        flags: new.flags,
        namespace: new
            .host_compute_namespace
            .as_ref()
            .map(|id| json!({ "ID": id })),
        state: Some(if attached { 2 } else { 1 }),
        ..HnsEndpoint::default()
    }
}

/// The id that a document of either version names, where it names one.
pub(crate) fn id(text: Option<&String>) -> Guid {
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}
