//! Settings of policies that say what a network stands on: an adapter of the host, or tunnels to other hosts.

use hcs_schema::document;

document! {
    /// The adapter of the host that a network is on.
    NetAdapterName {
        /// Its name.
        network_adapter_name: String = "NetworkAdapterName", 2.0;
    }
}

document! {
    /// The interface of the host that a network is on.
    InterfaceConstraint {
        /// Its GUID.
        interface_guid: String = "InterfaceGuid", 2.0;
        /// Its number on Windows.
        interface_luid: u64 = "InterfaceLuid", 2.0;
        /// Its number.
        interface_index: u32 = "InterfaceIndex", 2.0;
        /// Its kind.
        interface_media_type: u32 = "InterfaceMediaType", 2.0;
        /// Its name.
        interface_alias: String = "InterfaceAlias", 2.0;
        /// What it is called.
        interface_description: String = "InterfaceDescription", 2.0;
    }
}

document! {
    /// The address of a host below an overlay.
    ProviderAddress {
        /// The address.
        provider_address: String = "ProviderAddress", 2.0;
    }
}

document! {
    /// The hardware address of the distributed router.
    DrMacAddress {
        /// The address.
        address: String = "Address", 2.0;
    }
}

document! {
    /// The port of VXLAN.
    VxlanPort {
        /// The port of UDP.
        port: u16 = "Port", 2.0;
    }
}

document! {
    /// A subnet on another host.
    RemoteSubnetRoute {
        /// The subnet.
        destination_prefix: String = "DestinationPrefix", 2.0;
        /// The number of the overlay there.
        isolation_id: u32 = "IsolationId", 2.0;
        /// The address of that host.
        provider_address: String = "ProviderAddress", 2.0;
        /// The hardware address of the router there.
        distributed_router_mac_address: String = "DistributedRouterMacAddress", 2.0;
    }
}

document! {
    /// The number that tells a subnet from others.
    Isolation {
        /// The number.
        isolation_id: u32 = "IsolationId", 2.0;
    }
}
