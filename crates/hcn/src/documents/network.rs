//! [`HostComputeNetwork`].

use hcs_schema::{document, schema_enum};

use super::{Dns, NetworkPolicy, Route, SubnetPolicy, base::object};

object! {
    /// A network.
    HostComputeNetwork {
        /// Its type; NAT where it is left out.
        kind: NetworkType = "Type", 2.0;
        /// Its policies.
        policies: Vec<NetworkPolicy> = "Policies", 2.0;
        /// The addresses for network cards.
        mac_pool: MacPool = "MacPool", 2.0;
        /// How endpoints resolve names.
        dns: Dns = "Dns", 2.0;
        /// Its subnets.
        ipams: Vec<Ipam> = "Ipams", 2.0;
        /// Flags: 1 EnableDns, 2 EnableDhcp, 4 EnableMirroring, 8 EnableNonPersistent, 16 EnablePersistent, 32
        /// IsolateVSwitch, 64 EnableFlowSteering, 128 DisableSharing, 256 EnableFirewall, 512 SuppressMediaDisconnect,
        /// 1024 DisableHostPort, 2048 WeakHostReceive, 4096 WeakHostSend, 8192 EnableIov.
        flags: u32 = "Flags", 2.0;
    }
}

schema_enum! {
    /// The type of a network.
    NetworkType, numbered true {
        /// A switch of its own, behind the host's address.
        Nat = "NAT", 2.0;
        /// As NAT, with DHCP and DNS.
        Ics = "ICS", 2.0;
        /// Endpoints are on the host's own network.
        Transparent = "Transparent", 2.0;
        /// As Transparent, with the host's hardware address.
        L2Bridge = "L2Bridge", 2.0;
        /// As L2Bridge, with the fabric as switch.
        L2Tunnel = "L2Tunnel", 2.0;
        /// A network over other networks.
        Overlay = "Overlay", 2.0;
        /// Endpoints reach each other only.
        Private = "Private", 2.0;
        /// Endpoints reach each other and the host.
        Internal = "Internal", 2.0;
        /// Endpoints share the host's interfaces.
        Mirrored = "Mirrored", 2.4;
        /// Infiniband.
        Infiniband = "Infiniband", 2.4;
        /// As ICS, with constraints.
        ConstrainedIcs = "ConstrainedICS", 2.10;
    }
}

document! {
    /// Addresses for network cards.
    MacPool {
        /// The ranges.
        ranges: Vec<MacRange> = "Ranges", 2.0;
    }
}

document! {
    /// A range of addresses for network cards.
    MacRange {
        /// The first.
        start_mac_address: String as hcs_schema::shape::format::MacAddress = "StartMacAddress", 2.0;
        /// The last.
        end_mac_address: String as hcs_schema::shape::format::MacAddress = "EndMacAddress", 2.0;
    }
}

document! {
    /// Subnets of a network.
    Ipam {
        /// The source of addresses.
        kind: IpamType = "Type", 2.0;
        /// The subnets.
        subnets: Vec<Subnet> = "Subnets", 2.0;
    }
}

schema_enum! {
    /// The source of addresses.
    IpamType, numbered true {
        /// This service.
        Static = "Static", 2.0;
        /// A DHCP server.
        Dhcp = "Dhcp", 2.0;
    }
}

object! {
    /// A subnet.
    Subnet {
        /// Its prefix, as in `192.168.0.0/24`.
        ip_address_prefix: String = "IpAddressPrefix", 2.0;
        /// Its policies.
        policies: Vec<SubnetPolicy> = "Policies", 2.0;
        /// Its routes; that of `0.0.0.0/0` or `::/0` names the gateway.
        routes: Vec<Route> = "Routes", 2.0;
        /// Parts of it.
        ip_subnets: Vec<IpSubnet> = "IpSubnets", 2.3;
        /// Flags: 1 DoNotReserveGatewayAddress.
        flags: u32 = "Flags", 2.7;
    }
}

object! {
    /// A part of a subnet.
    IpSubnet {
        /// Its prefix.
        ip_address_prefix: String = "IpAddressPrefix", 2.3;
        /// Flags: 1 EnableBroadcast, 2 ReserveNetworkAddress.
        flags: u32 = "Flags", 2.3;
    }
}
