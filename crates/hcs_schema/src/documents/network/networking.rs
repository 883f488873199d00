//! [`Networking`].

use serde_json::Value;

use crate::shape::format::Guid;

document! {
    /// The network of a container.
    Networking, checked by crate::rules::system::networking {
        /// Whether names without a domain are looked up.
        allow_unqualified_dns_query: bool = "AllowUnqualifiedDnsQuery", 2.0;
        /// Domains to try for names without one, separated by commas.
        dns_search_list: String = "DnsSearchList", 2.0;
        /// Container whose network this one shares.
        network_shared_container_name: String = "NetworkSharedContainerName", 2.0;
        /// The network namespace: the id of one of the Host Compute Network service, or on Linux the name of one made by
        /// `ip netns add`. Without it, and without endpoints, the container has a loopback interface of its own and
        /// nothing else.
        namespace: String = "Namespace", 2.0;
        /// Endpoints of the host's network service to attach.
        network_adapters: Vec<String> as Vec<Guid> = "NetworkAdapters", 2.0;
        /// Endpoints that are made for the container and end with it: documents of type `HostComputeEndpoint`, which name
        /// their network.
        endpoints: Vec<Value> = "Endpoints", "extension";
    }
}
