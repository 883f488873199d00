//! [`HostComputeLoadBalancer`].

use hcs_schema::{document, schema_enum};

use super::base::object;

object! {
    /// Spreads connections over endpoints.
    HostComputeLoadBalancer {
        /// The id of its network.
        host_compute_network: String as hcs_schema::shape::format::LooseGuid = "HostComputeNetwork", 2.5;
        /// The ids of the endpoints.
        host_compute_endpoints: Vec<String> as Vec<hcs_schema::shape::format::LooseGuid> = "HostComputeEndpoints", 2.0;
        /// The source address that endpoints see.
        source_vip: String = "SourceVIP", 2.0;
        /// The addresses that clients use.
        frontend_vips: Vec<String> = "FrontendVIPs", 2.0;
        /// Its ports.
        port_mappings: Vec<LoadBalancerPortMapping> = "PortMappings", 2.0;
        /// Flags: 1 DSR, 2 IPv6.
        flags: u32 = "Flags", 2.0;
    }
}

document! {
    /// A port of a load balancer.
    LoadBalancerPortMapping {
        /// The protocol's number: 6 TCP, 17 UDP.
        protocol: u32 = "Protocol", 2.0;
        /// The port of the endpoints.
        internal_port: u16 = "InternalPort", 2.0;
        /// The port that clients use.
        external_port: u16 = "ExternalPort", 2.0;
        /// How connections are spread.
        distribution_type: DistributionType = "DistributionType", 2.7;
        /// Flags: 1 ILB, 2 LocalRoutedVIP, 4 UseMux, 8 PreserveDIP, 16 VipExternalIP.
        flags: u32 = "Flags", 2.0;
    }
}

schema_enum! {
    /// How connections are spread.
    DistributionType, numbered true {
        /// Each on its own.
        None = "None", 2.7;
        /// By source and protocol.
        SourceIpProtocol = "SourceIPProtocol", 2.7;
        /// By source.
        SourceIp = "SourceIP", 2.7;
    }
}
