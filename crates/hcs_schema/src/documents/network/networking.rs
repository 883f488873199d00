//! [`Networking`], [`HostEntry`].

use serde_json::Value;

use crate::shape::format::Guid;

document! {
    /// The network of a container.
    Networking, checked by crate::rules::names::networking {
        /// Whether names without a domain are looked up.
        allow_unqualified_dns_query: bool = "AllowUnqualifiedDnsQuery", 2.0;
        /// Domains to try for names without one, separated by commas.
        dns_search_list: String = "DnsSearchList", 2.0;
        /// Container whose network this one shares.
        network_shared_container_name: String = "NetworkSharedContainerName", 2.0;
        /// The network namespace: the id of one of the Host Compute Network service, or on Linux the name of one made
        /// by `ip netns add`. Without it, and without endpoints, the container has a loopback interface of its own and
        /// nothing else.
        namespace: String = "Namespace", 2.0;
        /// Endpoints of the host's network service to attach.
        network_adapters: Vec<String> as Vec<Guid> = "NetworkAdapters", 2.0;
        /// Endpoints that are made for the container and end with it: documents of type `HostComputeEndpoint`, which
        /// name their network.
        endpoints: Vec<Value> = "Endpoints", "extension";
        /// More names of the container. The others in its networks find it by these, by its id and by its host name.
        aliases: Vec<String> = "Aliases", "extension";
        /// Names that are found in `/etc/hosts`, besides those of the layers and of the networks.
        host_entries: Vec<HostEntry> = "HostEntries", "extension";
        /// The servers of `/etc/resolv.conf`, in place of the host's. Without them, those of the first endpoint in
        /// `Endpoints` whose document names some.
        dns_server_list: Vec<String> = "DnsServerList", "extension";
    }
}

document! {
    /// A name and its address.
    HostEntry, checked by crate::rules::names::host_entry {
        /// The name.
        name: String = "Name", "extension";
        /// The address.
        address: String = "Address", "extension";
    }
}
