//! The effect of each property on Linux: supported, accepted without effect, or refused, each with its reason.
//!
//! [`TABLE`] has an entry per property of the documents that clients send, as those of `hcs_schema::coverage`, and
//! refuses in the same way: by pointer, with the reason. Flags are numbers, so they are looked at where they are used.

use hcs_schema::coverage::{
    Coverage::{self, Refused, Supported, WithoutEffect},
    Table,
};

/// The table.
pub static TABLE: Table = Table {
    about: "a network on Linux",
    entries: &[
        NETWORK,
        SUBNET_POLICIES,
        ENDPOINT,
        NAMESPACE,
        LOAD_BALANCER,
        POLICIES,
        REQUESTS,
        SHARED,
    ],
    resources: &[],
};

type Documents = &'static [(&'static str, &'static [(&'static str, Coverage)])];

const KEPT: Coverage = WithoutEffect("it is kept with the object and told again");
const TOLD: Coverage = WithoutEffect("the service tells it and does not read it");
const TAGS: &str = "tags of virtual LANs are dropped at the ports of endpoints";
const WEAK: &str = "an interface of Windows has such a setting; on Linux a host has all of its addresses at each interface";
const WINDOWS: &str = "the switch of Windows has it, and that of Linux has nothing like it";
const CARD: &str =
    "it needs an adapter that shares itself between machines, which no engine here hands on";
const MACHINES: &str = "a guest has its own network, which no namespace of the host stands for: its cards are NetworkAdapters of the \
                        machine's document";

/// An object's entries: those that all objects have, and its own.
macro_rules! object {
    ($name:literal: $($own:expr),* $(,)?) => {
        ($name, &[
            ("ID", Supported),
            ("Owner", KEPT),
            ("Name", Supported),
            ("Version", TOLD),
            ("AdditionalParams", KEPT),
            ("Health", TOLD),
            ("SchemaVersion", Supported),
            ("Telemetry", KEPT),
            ("State", TOLD),
            $($own),*
        ])
    };
}

const NETWORK: Documents = &[
    object!("HostComputeNetwork":
        ("Type", Supported),
        ("Policies", Supported),
        ("MacPool", Supported),
        ("Dns", Supported),
        ("Ipams", Supported),
        ("Flags", Supported),
    ),
    (
        "NetworkType",
        &[
            ("NAT", Supported),
            (
                "ICS",
                WithoutEffect("it is made as NAT: containers get their addresses without DHCP"),
            ),
            ("Transparent", Supported),
            (
                "L2Bridge",
                WithoutEffect(
                    "it is made as Transparent, on the adapter that it names: endpoints have hardware addresses of their own",
                ),
            ),
            (
                "L2Tunnel",
                Refused("no fabric here takes the place of the switch"),
            ),
            ("Overlay", Supported),
            ("Private", Supported),
            ("Internal", Supported),
            ("Mirrored", Refused(WINDOWS)),
            ("Infiniband", Refused(CARD)),
            ("ConstrainedICS", Refused(WINDOWS)),
        ],
    ),
    ("MacPool", &[("Ranges", Supported)]),
    (
        "MacRange",
        &[("StartMacAddress", Supported), ("EndMacAddress", Supported)],
    ),
    ("Ipam", &[("Type", Supported), ("Subnets", Supported)]),
    (
        "IpamType",
        &[
            ("Static", Supported),
            (
                "Dhcp",
                Refused("endpoints get their addresses from this service"),
            ),
        ],
    ),
    object!("Subnet":
        ("IpAddressPrefix", Supported),
        ("Policies", Supported),
        ("Routes", Supported),
        ("IpSubnets", WithoutEffect("endpoints get their addresses from the whole subnet")),
        ("Flags", Supported),
    ),
];

const SUBNET_POLICIES: Documents = &[
    (
        "SubnetPolicy",
        &[("Type", Supported), ("Settings", Supported)],
    ),
    (
        "SubnetPolicyType",
        &[("VLAN", Refused(TAGS)), ("VSID", Supported)],
    ),
];

const ENDPOINT: Documents = &[
    object!("HostComputeEndpoint":
        ("HostComputeNetwork", Supported),
        ("HostComputeNamespace", TOLD),
        ("Policies", Supported),
        ("IpConfigurations", Supported),
        ("Dns", Supported),
        ("Routes", Supported),
        ("MacAddress", Supported),
        ("Flags", Supported),
    ),
    (
        "IpConfiguration",
        &[
            ("IpAddress", Supported),
            ("PrefixLength", Supported),
            ("IpSubnetId", WithoutEffect("the address tells the subnet")),
        ],
    ),
];

const NAMESPACE: Documents = &[
    object!("HostComputeNamespace":
        ("NamespaceId", TOLD),
        ("NamespaceGuid", TOLD),
        ("Type", Supported),
        ("Resources", Supported),
    ),
    (
        "NamespaceType",
        &[
            ("Host", Supported),
            (
                "HostDefault",
                Refused(
                    "an endpoint is a link of a container or a machine, and none is put into the host's own network",
                ),
            ),
            ("Guest", Refused(MACHINES)),
            ("GuestDefault", Refused(MACHINES)),
        ],
    ),
    (
        "NamespaceResource",
        &[("Type", Supported), ("Data", Supported)],
    ),
    (
        "NamespaceResourceType",
        &[("Container", Supported), ("Endpoint", Supported)],
    ),
    ("NamespaceResourceData", &[("Id", Supported)]),
];

const LOAD_BALANCER: Documents = &[
    object!("HostComputeLoadBalancer":
        ("HostComputeNetwork", Supported),
        ("HostComputeEndpoints", Supported),
        ("SourceVIP", Supported),
        ("FrontendVIPs", Supported),
        ("PortMappings", Supported),
        ("Flags", Supported),
    ),
    (
        "LoadBalancerPortMapping",
        &[
            ("Protocol", Supported),
            ("InternalPort", Supported),
            ("ExternalPort", Supported),
            ("DistributionType", Supported),
            (
                "Flags",
                WithoutEffect(
                    "endpoints answer on the host's behalf in any case, and see their clients' addresses",
                ),
            ),
        ],
    ),
    (
        "DistributionType",
        &[
            ("None", Supported),
            ("SourceIPProtocol", Supported),
            ("SourceIP", Supported),
        ],
    ),
];

const POLICIES: Documents = &[
    (
        "NetworkPolicy",
        &[("Type", Supported), ("Settings", Supported)],
    ),
    (
        "NetworkPolicyType",
        &[
            (
                "SourceMacAddress",
                Refused(
                    "endpoints have hardware addresses of their own, which nothing here rewrites",
                ),
            ),
            ("NetAdapterName", Supported),
            ("InterfaceConstraint", Supported),
            ("VSwitchExtension", Refused(WINDOWS)),
            ("ProviderAddress", Supported),
            ("DrMacAddress", Supported),
            (
                "AutomaticDNS",
                WithoutEffect("endpoints without servers of their own use the host's"),
            ),
            ("RemoteSubnetRoute", Supported),
            ("VxlanPort", Supported),
            (
                "HostRoute",
                WithoutEffect("the host always has a route to its networks"),
            ),
            ("SetPolicy", Supported),
            ("L4Proxy", Supported),
            ("LayerConstraint", Refused(WINDOWS)),
            ("NetworkACL", Supported),
        ],
    ),
    (
        "EndpointPolicy",
        &[("Type", Supported), ("Settings", Supported)],
    ),
    (
        "EndpointPolicyType",
        &[
            ("PortMapping", Supported),
            ("ACL", Supported),
            ("QOS", Supported),
            ("L2Driver", Refused(WINDOWS)),
            ("OutBoundNAT", Supported),
            ("SDNRoute", Supported),
            ("L4Proxy", Supported),
            (
                "L4WFPPROXY",
                Refused(
                    "it leads connections by the SID of a user of Windows; L4Proxy leads those of a container",
                ),
            ),
            ("ProviderAddress", Supported),
            (
                "PortName",
                WithoutEffect("links on Linux are named after the endpoint"),
            ),
            ("EncapOverhead", Supported),
            (
                "InterfaceConstraint",
                Refused("an endpoint is on the adapter of its network"),
            ),
            (
                "Encryption",
                Refused("it names no keys, and no program here agrees on some with other hosts"),
            ),
            ("VLAN", Refused(TAGS)),
            ("InterfaceParameters", Supported),
            ("Iov", Refused(CARD)),
            ("TierAcl", Supported),
            ("Firewall", Refused(WINDOWS)),
        ],
    ),
];

const REQUESTS: Documents = &[
    (
        "ModifyNetworkRequest",
        &[
            (
                "ResourceUri",
                WithoutEffect("the type of the resource tells where it is"),
            ),
            ("ResourceType", Supported),
            ("RequestType", Supported),
            ("Settings", Supported),
        ],
    ),
    (
        "NetworkResourceType",
        &[
            ("Policy", Supported),
            ("DNS", Supported),
            ("Extension", Refused(WINDOWS)),
            (
                "Subnet",
                Refused("the subnets of a network are those that it was made with"),
            ),
            (
                "IPSubnet",
                Refused("the subnets of a network are those that it was made with"),
            ),
        ],
    ),
    ("NetworkPolicyRequest", &[("Policies", Supported)]),
    (
        "ModifyEndpointRequest",
        &[
            (
                "ResourceUri",
                WithoutEffect("the type of the resource tells where it is"),
            ),
            ("ResourceType", Supported),
            ("RequestType", Supported),
            ("Settings", Supported),
        ],
    ),
    (
        "EndpointResourceType",
        &[
            (
                "Port",
                Refused(
                    "endpoints go to containers by their namespaces, and to virtual machines by NetworkAdapters of their \
                     documents",
                ),
            ),
            ("Policy", Supported),
        ],
    ),
    ("EndpointPolicyRequest", &[("Policies", Supported)]),
    (
        "ModifyNamespaceRequest",
        &[
            (
                "ResourceUri",
                WithoutEffect("the type of the resource tells where it is"),
            ),
            ("ResourceType", Supported),
            ("RequestType", Supported),
            ("Settings", Supported),
        ],
    ),
    (
        "NamespaceResourceKind",
        &[("Container", Supported), ("Endpoint", Supported)],
    ),
    ("NamespaceEndpointRequest", &[("EndpointId", Supported)]),
    ("ContainerRequest", &[("ContainerId", Supported)]),
    (
        "HostComputeQuery",
        &[
            ("SchemaVersion", Supported),
            ("Flags", WithoutEffect("an answer always has everything")),
            ("Filter", Supported),
        ],
    ),
];

const SHARED: Documents = &[
    (
        "Dns",
        &[
            ("Domain", KEPT),
            ("Search", Supported),
            ("ServerList", Supported),
            ("Options", KEPT),
        ],
    ),
    (
        "Route",
        &[
            ("NextHop", Supported),
            ("DestinationPrefix", Supported),
            ("Metric", Supported),
        ],
    ),
    ("Version", &[("Major", Supported), ("Minor", Supported)]),
];

/// Flags of a network that are refused: bit, name, reason.
pub(crate) const NETWORK_FLAGS: &[(u32, &str, &str)] = &[
    (1, "EnableDns", "a resolver for endpoints is not built yet"),
    (
        2,
        "EnableDhcp",
        "endpoints get their addresses from this service, without DHCP",
    ),
    (4, "EnableMirroring", WINDOWS),
    (
        16,
        "EnablePersistent",
        "networks end with the host's uptime",
    ),
    (64, "EnableFlowSteering", CARD),
    (
        256,
        "EnableFirewall",
        "rules are those of the policy ACL, and no firewall of the host's own stands before them",
    ),
    (2048, "WeakHostReceive", WEAK),
    (4096, "WeakHostSend", WEAK),
    (8192, "EnableIov", CARD),
];

/// All flags of a network.
pub(crate) const NETWORK_FLAGS_KNOWN: u32 = 0x3fff;

/// The host has no address in the network.
pub(crate) const DISABLE_HOST_PORT: u32 = 1024;

/// Flags of a subnet: the first is DoNotReserveGatewayAddress.
pub(crate) const SUBNET_FLAGS: &[(u32, &str, &str)] = &[(
    1,
    "DoNotReserveGatewayAddress",
    "the host has the gateway's address",
)];

/// Flags of an endpoint that are refused: bit, name, reason.
pub(crate) const ENDPOINT_FLAGS: &[(u32, &str, &str)] = &[
    (4, "EnableMirroring", WINDOWS),
    (
        8,
        "EnableLowInterfaceMetric",
        "the order of endpoints in their namespace says whose routes come first",
    ),
    (
        16,
        "OverrideDNSServerOrder",
        "servers of names are asked in the order that documents name them in",
    ),
    (
        32,
        "EnableDhcp",
        "endpoints get their addresses from this service, without DHCP",
    ),
];

/// All flags of an endpoint.
pub(crate) const ENDPOINT_FLAGS_KNOWN: u32 = 0x3f;

/// The endpoint is on another host.
pub(crate) const REMOTE: u32 = 1;

/// Other endpoints of the network are kept away.
pub(crate) const ISOLATED: u32 = 2;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use hcs_schema::{
        Document as _,
        shape::{Kind, Shape},
    };

    use super::*;
    use crate::documents::*;

    /// Every property and value that a client can send, as far as the table does not speak for what is below.
    fn walk(shape: &'static Shape, needed: &mut BTreeSet<(&'static str, &'static str)>) {
        for property in shape.properties {
            if !needed.insert((shape.name, property.name)) {
                continue;
            }
            if TABLE.coverage(shape.name, property.name) == Some(Supported) {
                inner(property.kind, needed);
            }
        }
    }

    fn inner(kind: Kind, needed: &mut BTreeSet<(&'static str, &'static str)>) {
        match kind {
            Kind::Array(item) | Kind::Map(item) => inner(*item, needed),
            Kind::Document(shape) => walk(shape(), needed),
            Kind::Enumeration(table) => {
                let names = table()
                    .values
                    .iter()
                    .map(|value| (table().name, value.name));
                needed.extend(names);
            }
            _ => {}
        }
    }

    #[test]
    fn every_property_is_in_the_table_and_nothing_else_is() {
        let mut needed = BTreeSet::new();
        for shape in [
            HostComputeNetwork::shape(),
            HostComputeEndpoint::shape(),
            HostComputeNamespace::shape(),
            HostComputeLoadBalancer::shape(),
            HostComputeQuery::shape(),
            ModifyNetworkRequest::shape(),
            ModifyEndpointRequest::shape(),
            ModifyNamespaceRequest::shape(),
            NetworkPolicyRequest::shape(),
            EndpointPolicyRequest::shape(),
            NamespaceEndpointRequest::shape(),
            ContainerRequest::shape(),
        ] {
            walk(shape, &mut needed);
        }
        // Requests are added and removed only; the model refuses the rest, as it depends on the resource.
        needed.retain(|(document, _)| *document != "RequestType");
        let all = TABLE.entries.iter().copied().flatten();
        let present: BTreeSet<_> = all
            .flat_map(|(document, entries)| entries.iter().map(|(name, _)| (*document, *name)))
            .collect();
        let none = Vec::<&(&str, &str)>::new();
        assert_eq!(
            needed.difference(&present).collect::<Vec<_>>(),
            none,
            "missing"
        );
        assert_eq!(
            present.difference(&needed).collect::<Vec<_>>(),
            none,
            "stale"
        );
    }
}
