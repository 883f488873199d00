//! [`HostComputeEndpoint`].

use hcs_schema::document;

use super::{Dns, EndpointPolicy, Route, base::object};

object! {
    /// The place of a container or machine in a network.
    HostComputeEndpoint {
        /// The id of its network.
        host_compute_network: String as hcs_schema::shape::format::LooseGuid = "HostComputeNetwork", 2.0;
        /// The id of the namespace that it is in. Only read.
        host_compute_namespace: String as hcs_schema::shape::format::LooseGuid = "HostComputeNamespace", 2.0;
        /// Its policies.
        policies: Vec<EndpointPolicy> = "Policies", 2.0;
        /// Its addresses.
        ip_configurations: Vec<IpConfiguration> = "IpConfigurations", 2.0;
        /// How it resolves names.
        dns: Dns = "Dns", 2.0;
        /// Its routes.
        routes: Vec<Route> = "Routes", 2.0;
        /// The address of its network card.
        mac_address: String as hcs_schema::shape::format::MacAddress = "MacAddress", 2.0;
        /// Flags: 1 RemoteEndpoint, 2 DisableInterComputeCommunication, 4 EnableMirroring, 8 EnableLowInterfaceMetric,
        /// 16 OverrideDNSServerOrder, 32 EnableDhcp.
        flags: u32 = "Flags", 2.0;
    }
}

document! {
    /// An address.
    IpConfiguration {
        /// The address.
        ip_address: String = "IpAddress", 2.0;
        /// The length of its prefix; the subnet's where it is left out.
        prefix_length: u8 = "PrefixLength", 2.0;
        /// The part of a subnet that it is in.
        ip_subnet_id: String = "IpSubnetId", 2.3;
    }
}
