//! Settings of policies for packets beside ACL: sets of addresses, tiers of rules, proxies.

use hcs_schema::{document, schema_enum};
use serde_json::Value;

document! {
    /// A set of addresses of a network, which rules of its endpoints name by its id.
    SetPolicy {
        /// Its id.
        id: String = "Id", 2.0;
        /// Its name.
        name: String = "Name", 2.0;
        /// Whether it holds addresses or sets.
        policy_type: SetPolicyType = "PolicyType", 2.0;
        /// Addresses and prefixes, or ids of sets, separated by commas.
        values: String = "Values", 2.0;
    }
}

schema_enum! {
    /// What a set holds.
    SetPolicyType, numbered true {
        /// Addresses and prefixes.
        IpSet = "IPSET", 2.0;
        /// Sets of them.
        NestedIpSet = "NESTEDIPSET", 2.0;
    }
}

document! {
    /// Rules that decide together, before those of tiers behind them.
    TierAcl {
        /// Its name.
        name: String = "Name", 2.10;
        /// `In` or `Out`.
        direction: Value = "Direction", 2.10;
        /// Its rank among tiers.
        order: u16 = "Order", 2.10;
        /// Its rules.
        tier_acl_rules: Vec<TierAclRule> = "TierAclRules", 2.10;
    }
}

document! {
    /// A rule of a tier.
    TierAclRule {
        /// Its id.
        id: String = "Id", 2.10;
        /// Protocols, by number or name, separated by commas.
        protocols: Value = "Protocols", 2.10;
        /// `Allow`, `Block`, or `Pass` to the next tier.
        tier_acl_rule_action: Value = "TierAclRuleAction", 2.10;
        /// Addresses of the endpoint.
        local_addresses: String = "LocalAddresses", 2.10;
        /// Addresses of the peer.
        remote_addresses: String = "RemoteAddresses", 2.10;
        /// Ports of the endpoint.
        local_ports: String = "LocalPorts", 2.10;
        /// Ports of the peer.
        remote_ports: String = "RemotePorts", 2.10;
        /// Its rank within the tier.
        priority: u16 = "Priority", 2.10;
    }
}

document! {
    /// A proxy that connections of endpoints are led to.
    L4Proxy {
        /// The address of the proxy.
        ip: String = "IP", 2.0;
        /// Its port.
        port: Value = "Port", 2.0;
        /// The protocol of the connections, by number or name: 6 TCP, 17 UDP.
        protocol: Value = "Protocol", 2.0;
        /// Peers that are reached without the proxy.
        exception_list: Vec<String> = "ExceptionList", 2.0;
        /// The same, as clients in Go call it.
        exceptions: Vec<String> = "Exceptions", 2.0;
        /// Peers that are reached by the proxy; all where it is left out.
        destination: String = "Destination", 2.0;
        /// Whether the host translates the source as well.
        outbound_nat: bool = "OutboundNat", 2.0;
        /// The same, as clients in Go call it.
        outbound_nat_2: bool = "OutboundNAT", 2.0;
    }
}
