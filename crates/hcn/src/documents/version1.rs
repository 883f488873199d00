//! Documents of version 1, which the API before this one had. Some clients still create with them, and more read them:
//! a query without a version is answered by one.

use hcs_schema::document;
use serde_json::Value;

document! {
    /// A network, in version 1.
    HnsNetwork {
        /// Its id.
        id: String as hcs_schema::shape::format::LooseGuid = "ID", 1.0;
        /// Its name.
        name: String = "Name", 1.0;
        /// The client that made it, as it calls itself.
        owner: String = "Owner", 1.0;
        /// Its type; NAT where it is left out.
        kind: super::NetworkType = "Type", 1.0;
        /// The adapter of the host.
        network_adapter_name: String = "NetworkAdapterName", 1.0;
        /// The source address of frames.
        source_mac: String = "SourceMac", 1.0;
        /// Its policies.
        policies: Vec<Value> = "Policies", 1.0;
        /// The addresses for network cards.
        mac_pools: Vec<super::MacRange> = "MacPools", 1.0;
        /// Its subnets.
        subnets: Vec<HnsSubnet> = "Subnets", 1.0;
        /// The domain of endpoints.
        dns_suffix: String = "DNSSuffix", 1.0;
        /// Servers, by address, separated by commas.
        dns_server_list: String = "DNSServerList", 1.0;
        /// The compartment of the servers.
        dns_server_compartment: u32 = "DNSServerCompartment", 1.0;
        /// The address of this host.
        management_ip: String = "ManagementIP", 1.0;
        /// Whether the host's resolvers are used.
        automatic_dns: bool = "AutomaticDNS", 1.0;
        /// Whether the switch is the network's own.
        isolate_switch: bool = "IsolateSwitch", 1.0;
        /// Flags, as in version 2.
        flags: u32 = "Flags", 1.0;
        /// Its state, as a number.
        state: u16 = "State", 1.0;
    }
}

document! {
    /// A subnet, in version 1.
    HnsSubnet {
        /// Its prefix.
        address_prefix: String = "AddressPrefix", 1.0;
        /// Its gateway.
        gateway_address: String = "GatewayAddress", 1.0;
        /// Its policies.
        policies: Vec<Value> = "Policies", 1.0;
        /// Parts of it.
        ip_subnets: Vec<Value> = "IpSubnets", 1.0;
    }
}

document! {
    /// An endpoint, in version 1.
    HnsEndpoint {
        /// Its id.
        id: String as hcs_schema::shape::format::LooseGuid = "ID", 1.0;
        /// Its name.
        name: String = "Name", 1.0;
        /// The client that made it, as it calls itself.
        owner: String = "Owner", 1.0;
        /// The id of its network.
        virtual_network: String as hcs_schema::shape::format::LooseGuid = "VirtualNetwork", 1.0;
        /// The name of its network.
        virtual_network_name: String = "VirtualNetworkName", 1.0;
        /// Its policies.
        policies: Vec<Value> = "Policies", 1.0;
        /// The address of its network card.
        mac_address: String as hcs_schema::shape::format::MacAddress = "MacAddress", 1.0;
        /// Its address.
        ip_address: String = "IPAddress", 1.0;
        /// The length of its prefix.
        prefix_length: u8 = "PrefixLength", 1.0;
        /// Its address of IPv6.
        ipv6_address: String = "IPv6Address", 1.0;
        /// The length of its prefix.
        ipv6_prefix_length: u8 = "IPv6PrefixLength", 1.0;
        /// Its gateway.
        gateway_address: String = "GatewayAddress", 1.0;
        /// Its gateway of IPv6.
        gateway_address_v6: String = "GatewayAddressV6", 1.0;
        /// Its domain.
        dns_suffix: String = "DNSSuffix", 1.0;
        /// Servers, by address, separated by commas.
        dns_server_list: String = "DNSServerList", 1.0;
        /// Its domain, as another client spells it.
        dns_domain: String = "DNSDomain", 1.0;
        /// Whether its routes are preferred to others.
        enable_low_metric: bool = "EnableLowMetric", 1.0;
        /// Whether endpoints of the network reach each other by name.
        enable_internal_dns: bool = "EnableInternalDNS", 1.0;
        /// Whether other endpoints are kept away.
        disable_icc: bool = "DisableICC", 1.0;
        /// Whether it is on another host.
        is_remote_endpoint: bool = "IsRemoteEndpoint", 1.0;
        /// Bytes of each packet that an encapsulation takes.
        encap_overhead: u16 = "EncapOverhead", 1.0;
        /// Flags, as in version 2.
        flags: u32 = "Flags", 1.0;
        /// Its namespace.
        namespace: Value = "Namespace", 1.0;
        /// Containers that share it.
        shared_containers: Vec<String> = "SharedContainers", 1.0;
        /// Its state, as a number.
        state: u16 = "State", 1.0;
    }
}
