//! [`HostComputeRoute`].

use super::{base::object, policy::SdnRoute};

object! {
    /// Routes of endpoints.
    HostComputeRoute {
        /// The id of the network.
        host_compute_network: String as hcs_schema::shape::format::LooseGuid = "HostComputeNetwork", 2.0;
        /// The ids of the endpoints.
        host_compute_endpoints: Vec<String> as Vec<hcs_schema::shape::format::LooseGuid> = "HostComputeEndpoints", 2.0;
        /// The routes.
        routes: Vec<SdnRoute> = "Routes", 2.0;
        /// The routes, as one client spells it.
        setting: Vec<SdnRoute> = "Setting", "extension";
    }
}
