//! Policies: a type, and settings whose shape depends on it.
//!
//! A policy that is refused by its type has no shape here beyond what clients are known to send; its settings are not
//! looked at.

use hcs_schema::{
    Document, document,
    fault::{Faults, Path},
    schema_enum,
    shape::Shape,
};
use serde_json::Value;

use super::{
    fabric::{
        DrMacAddress, InterfaceConstraint, Isolation, NetAdapterName, ProviderAddress,
        RemoteSubnetRoute, VxlanPort,
    },
    rules::{L4Proxy, SetPolicy, TierAcl},
};

document! {
    /// A policy of a network.
    NetworkPolicy, checked by network_policy {
        /// Its type.
        kind: NetworkPolicyType = "Type", 2.0;
        /// Its settings.
        settings: Value = "Settings", 2.0;
    }
}

schema_enum! {
    /// The type of a policy of a network.
    NetworkPolicyType {
        /// The source address of frames.
        SourceMacAddress = "SourceMacAddress", 2.0;
        /// The adapter of the host.
        NetAdapterName = "NetAdapterName", 2.0;
        /// The interface of the host.
        InterfaceConstraint = "InterfaceConstraint", 2.0;
        /// An extension of the switch.
        VSwitchExtension = "VSwitchExtension", 2.0;
        /// The address of this host below an overlay.
        ProviderAddress = "ProviderAddress", 2.0;
        /// The address of the distributed router.
        DrMacAddress = "DrMacAddress", 2.0;
        /// Whether the host's resolvers are used.
        AutomaticDns = "AutomaticDNS", 2.0;
        /// A subnet on another host.
        RemoteSubnetRoute = "RemoteSubnetRoute", 2.0;
        /// The port of VXLAN.
        VxlanPort = "VxlanPort", 2.0;
        /// A route on the host.
        HostRoute = "HostRoute", 2.0;
        /// A set of addresses.
        SetPolicy = "SetPolicy", 2.0;
        /// A proxy.
        L4Proxy = "L4Proxy", 2.0;
        /// The layer below.
        LayerConstraint = "LayerConstraint", 2.0;
        /// Rules for all endpoints.
        NetworkAcl = "NetworkACL", 2.0;
    }
}

document! {
    /// A policy of an endpoint.
    EndpointPolicy, checked by endpoint_policy {
        /// Its type.
        kind: EndpointPolicyType = "Type", 2.0;
        /// Its settings.
        settings: Value = "Settings", 2.0;
    }
}

schema_enum! {
    /// The type of a policy of an endpoint.
    EndpointPolicyType {
        /// A port of the host that leads to the endpoint.
        PortMapping = "PortMapping", 2.0;
        /// A rule for packets.
        Acl = "ACL", 2.0;
        /// A limit of bandwidth.
        Qos = "QOS", 2.0;
        /// How the switch learns addresses.
        L2Driver = "L2Driver", 2.0;
        /// Translation of outgoing connections.
        OutBoundNat = "OutBoundNAT", 2.0;
        /// A route.
        SdnRoute = "SDNRoute", 2.0;
        /// A proxy.
        L4Proxy = "L4Proxy", 2.0;
        /// A proxy, by user.
        L4WfpProxy = "L4WFPPROXY", 2.5;
        /// The address of this host below an overlay.
        ProviderAddress = "ProviderAddress", 2.0;
        /// The name of the port of the switch.
        PortName = "PortName", 2.0;
        /// Bytes of each packet that an encapsulation takes.
        EncapOverhead = "EncapOverhead", 2.0;
        /// The interface of the host.
        InterfaceConstraint = "InterfaceConstraint", 2.0;
        /// Encryption.
        Encryption = "Encryption", 2.1;
        /// A virtual LAN.
        Vlan = "VLAN", 2.4;
        /// Parameters of the interface.
        InterfaceParameters = "InterfaceParameters", 2.4;
        /// Virtual functions of an adapter.
        Iov = "Iov", 2.9;
        /// Rules in tiers.
        TierAcl = "TierAcl", 2.10;
        /// The machine's firewall.
        Firewall = "Firewall", 2.16;
    }
}

document! {
    /// A policy of a subnet.
    SubnetPolicy, checked by subnet_policy {
        /// Its type.
        kind: SubnetPolicyType = "Type", 2.0;
        /// Its settings.
        settings: Value = "Settings", 2.0;
    }
}

schema_enum! {
    /// The type of a policy of a subnet.
    SubnetPolicyType {
        /// A virtual LAN.
        Vlan = "VLAN", 2.0;
        /// A number of an overlay.
        Vsid = "VSID", 2.0;
    }
}

document! {
    /// A port of the host that leads to an endpoint.
    PortMapping {
        /// The protocol's number: 6 TCP, 17 UDP.
        protocol: u32 = "Protocol", 2.0;
        /// The port of the endpoint.
        internal_port: u16 = "InternalPort", 2.0;
        /// The port of the host. The service chooses a free one where it is 0, or left out.
        external_port: u16 = "ExternalPort", 2.0;
        /// The address of the host; all of them where it is left out.
        vip: String = "VIP", 2.0;
        /// Flags: 1 LocalRoutedVip, 2 IPv6.
        flags: u32 = "Flags", 2.0;
    }
}

document! {
    /// Parameters of the interface.
    InterfaceParameters {
        /// The largest packet, in bytes.
        mtu: u32 = "Mtu", 2.4;
    }
}

document! {
    /// Bytes of each packet that an encapsulation takes.
    EncapOverhead {
        /// The bytes.
        overhead: u16 = "Overhead", 2.0;
    }
}

document! {
    /// The name of the port of the switch.
    PortName {
        /// The name.
        name: String = "Name", 2.0;
    }
}

document! {
    /// Whether the host's resolvers are used.
    AutomaticDns {
        /// Whether they are.
        enable: bool = "Enable", 2.0;
    }
}

document! {
    /// A rule for packets.
    Acl {
        /// Protocols, by number or name, separated by commas.
        protocols: Value = "Protocols", 2.0;
        /// `Allow`, `Block`, or `Pass` (2.10).
        action: Value = "Action", 2.0;
        /// `In` or `Out`.
        direction: Value = "Direction", 2.0;
        /// Addresses of the endpoint.
        local_addresses: String = "LocalAddresses", 2.0;
        /// Addresses of the peer.
        remote_addresses: String = "RemoteAddresses", 2.0;
        /// Ports of the endpoint.
        local_ports: String = "LocalPorts", 2.0;
        /// Ports of the peer.
        remote_ports: String = "RemotePorts", 2.0;
        /// `Host` or `Switch`.
        rule_type: Value = "RuleType", 2.0;
        /// Its rank.
        priority: u16 = "Priority", 2.0;
        /// Its id.
        id: String = "Id", 2.0;
    }
}

document! {
    /// A limit of bandwidth.
    Qos {
        /// Bytes a second.
        maximum_outgoing_bandwidth_in_bytes: u64 = "MaximumOutgoingBandwidthInBytes", 2.0;
    }
}

document! {
    /// Translation of outgoing connections.
    OutBoundNat {
        /// The address that peers see.
        virtual_ip: String = "VirtualIP", 2.0;
        /// Peers that see the endpoint's own address.
        exceptions: Vec<String> = "Exceptions", 2.0;
        /// Peers that see the other; all where it is left out.
        destinations: Vec<String> = "Destinations", 2.0;
        /// Flags.
        flags: u32 = "Flags", 2.0;
        /// How much of the ports is used.
        max_port_pool_usage: u32 = "MaxPortPoolUsage", 2.0;
    }
}

document! {
    /// A route.
    SdnRoute {
        /// Where it leads.
        destination_prefix: String = "DestinationPrefix", 2.0;
        /// The router.
        next_hop: String = "NextHop", 2.0;
        /// Whether packets are encapsulated.
        need_encap: bool = "NeedEncap", 2.0;
        /// Whether endpoints are watched.
        automatic_endpoint_monitor: bool = "AutomaticEndpointMonitor", 2.0;
    }
}

fn network_policy(policy: &NetworkPolicy, path: &Path<'_>, faults: &mut Faults) {
    let Some(kind) = policy.kind else {
        return faults.missing(path, "Type");
    };
    let shape = match kind {
        NetworkPolicyType::AutomaticDns => AutomaticDns::shape(),
        NetworkPolicyType::NetAdapterName => NetAdapterName::shape(),
        NetworkPolicyType::InterfaceConstraint => InterfaceConstraint::shape(),
        NetworkPolicyType::ProviderAddress => ProviderAddress::shape(),
        NetworkPolicyType::DrMacAddress => DrMacAddress::shape(),
        NetworkPolicyType::RemoteSubnetRoute => RemoteSubnetRoute::shape(),
        NetworkPolicyType::VxlanPort => VxlanPort::shape(),
        NetworkPolicyType::SetPolicy => SetPolicy::shape(),
        NetworkPolicyType::L4Proxy => L4Proxy::shape(),
        NetworkPolicyType::NetworkAcl => Acl::shape(),
        _ => return,
    };
    settings(shape, policy.settings.as_ref(), path, faults);
}

fn endpoint_policy(policy: &EndpointPolicy, path: &Path<'_>, faults: &mut Faults) {
    let Some(kind) = policy.kind else {
        return faults.missing(path, "Type");
    };
    let shape = match kind {
        EndpointPolicyType::PortMapping => PortMapping::shape(),
        EndpointPolicyType::InterfaceParameters => InterfaceParameters::shape(),
        EndpointPolicyType::EncapOverhead => EncapOverhead::shape(),
        EndpointPolicyType::PortName => PortName::shape(),
        EndpointPolicyType::Acl => Acl::shape(),
        EndpointPolicyType::TierAcl => TierAcl::shape(),
        EndpointPolicyType::L4Proxy => L4Proxy::shape(),
        EndpointPolicyType::Qos => Qos::shape(),
        EndpointPolicyType::OutBoundNat => OutBoundNat::shape(),
        EndpointPolicyType::SdnRoute => SdnRoute::shape(),
        EndpointPolicyType::ProviderAddress => ProviderAddress::shape(),
        _ => return,
    };
    settings(shape, policy.settings.as_ref(), path, faults);
}

fn subnet_policy(policy: &SubnetPolicy, path: &Path<'_>, faults: &mut Faults) {
    match policy.kind {
        Some(_) => settings(Isolation::shape(), policy.settings.as_ref(), path, faults),
        None => faults.missing(path, "Type"),
    }
}

fn settings(shape: &'static Shape, settings: Option<&Value>, path: &Path<'_>, faults: &mut Faults) {
    match settings {
        Some(value) => {
            hcs_schema::parse::check_shape(shape, value, &path.key("Settings"), faults);
        }
        None => faults.missing(path, "Settings"),
    }
}

/// The settings of a policy as a document; empty where they do not fit, which its check has refused before.
#[must_use]
pub fn settings_of<T: Document>(settings: Option<&Value>) -> T {
    let settings = settings.cloned().unwrap_or_default();
    T::read(settings).unwrap_or_default()
}
