//! Routes that policies of endpoints add (`SDNRoute`). On Windows the switch routes what an endpoint sends; here the
//! kernel does, in the endpoint's namespace, as with the routes of its document.

use std::net::IpAddr;

use hcs_schema::{Failure, HResult, fault::quote};

use super::{Lease, Network, Terms};
use crate::{
    address::Prefix,
    documents::{
        EndpointPolicy, EndpointPolicyType, HostComputeEndpoint,
        policy::{SdnRoute, settings_of},
    },
    reading::refused,
};

/// The most such routes of an endpoint.
const MOST_ROUTES: usize = 256;

/// A route of a policy: where it leads, and the router.
pub(super) type LedRoute = (Prefix, IpAddr);

impl Terms {
    /// Adds the route of a policy of type SDNRoute; `pointer` is that of its settings.
    pub(super) fn read_route(
        &mut self,
        network: &Network,
        policy: &EndpointPolicy,
        pointer: &str,
    ) -> Result<(), Failure> {
        let (to, router) = route(network, policy, pointer)?;
        if self.led_routes.len() >= MOST_ROUTES {
            let what = format!("an endpoint has up to {MOST_ROUTES} routes of policies");
            return Err(refused(HResult::HCN_E_INVALID_POLICY, pointer, what));
        }
        let own = (self.routes.iter()).filter(|(_, _, metric)| *metric == 0);
        let own = own.map(|(to, router, _)| (*to, *router));
        let mut others = own.chain(self.led_routes.iter().copied());
        if let Some((_, other)) = others.find(|(other, _)| *other == to) {
            let what = format!("the endpoint has a route to {to} already, by {other}");
            let pointer = format!("{pointer}/DestinationPrefix");
            return Err(refused(HResult::HCN_E_POLICY_ALREADY_EXISTS, pointer, what));
        }
        self.led_routes.push((to, router));
        Ok(())
    }

    /// Refuses routes of policies that an endpoint with these addresses cannot have.
    pub(super) fn have_routers_beside(
        &self,
        leases: &[Lease],
        document: &HostComputeEndpoint,
    ) -> Result<(), Failure> {
        let policies = document.policies.iter().flatten().enumerate();
        let places = policies
            .filter(|(_, policy)| policy.kind == Some(EndpointPolicyType::SdnRoute))
            .map(|(at, _)| at);
        for (at, (to, router)) in places.zip(&self.led_routes) {
            let wrong = |code: HResult, name: &str, what: String| {
                let pointer = format!("/Policies/{at}/Settings/{name}");
                Err(refused(code, pointer, what))
            };
            if leases.iter().any(|lease| lease.address == *router) {
                let what = format!("{router} is an address of the endpoint itself");
                return wrong(HResult::HCN_E_INVALID_IP, "NextHop", what);
            }
            let is_like = |lease: &Lease| lease.address.is_ipv4() == router.is_ipv4();
            if !leases.iter().any(is_like) {
                let what = format!("the endpoint has no address of the same kind as {router}");
                return wrong(HResult::HCN_E_INVALID_IP, "NextHop", what);
            }
            let on_link = |lease: &Lease| Prefix::around(lease.address, lease.length) == Some(*to);
            if leases.iter().any(on_link) {
                let what = format!("{to} is the endpoint's own subnet, which it reaches directly");
                return wrong(HResult::HCN_E_INVALID_PREFIX, "DestinationPrefix", what);
            }
        }
        Ok(())
    }

    /// Whether a route leads to this address.
    pub(super) fn routes_lead_to(&self, address: IpAddr) -> bool {
        self.all_routes().any(|to| to.contains(address))
    }

    /// Whether a route leads to all addresses of IPv6.
    pub(crate) fn have_a_way_out_6(&self) -> bool {
        self.all_routes().any(|to| !to.is_ipv4() && to.is_all())
    }

    fn all_routes(&self) -> impl Iterator<Item = Prefix> {
        let own = self.routes.iter().map(|(to, ..)| *to);
        own.chain(self.led_routes.iter().map(|(to, _)| *to))
    }
}

fn route(network: &Network, policy: &EndpointPolicy, pointer: &str) -> Result<LedRoute, Failure> {
    let asked: SdnRoute = settings_of(policy.settings.as_ref());
    let refuse = |code: HResult, name: &str, what: String| {
        Err(refused(code, format!("{pointer}/{name}"), what))
    };
    let text = asked.next_hop.as_deref().unwrap_or_default();
    let Ok(router) = text.parse::<IpAddr>() else {
        let what = format!(
            "{} is no IP address; expected that of a router in a subnet of the network",
            quote(text)
        );
        return refuse(HResult::HCN_E_INVALID_IP, "NextHop", what);
    };
    if network.pool_of(router).is_none() {
        let what = format!("{router} is in no subnet of the network");
        return refuse(HResult::HCN_E_INVALID_IP_SUBNET, "NextHop", what);
    }
    let text = asked.destination_prefix.as_deref().unwrap_or_default();
    let to = text.parse::<Prefix>().ok();
    let Some(to) = to.filter(|to| to.is_ipv4() == router.is_ipv4()) else {
        let what = format!(
            "{} is no prefix of the same kind as the next hop {router}",
            quote(text)
        );
        return refuse(HResult::HCN_E_INVALID_PREFIX, "DestinationPrefix", what);
    };
    if asked.need_encap == Some(true) {
        let what = "packets go to the next hop as they are: subnets on other hosts are those of the policy \
                    RemoteSubnetRoute of a network of type Overlay; leave it out, or say false";
        return refuse(
            HResult::HCN_E_REQUEST_UNSUPPORTED,
            "NeedEncap",
            what.to_owned(),
        );
    }
    if asked.automatic_endpoint_monitor == Some(true) {
        let what =
            "the route stays whether its next hop answers or not; leave it out, or say false";
        let name = "AutomaticEndpointMonitor";
        return refuse(HResult::HCN_E_REQUEST_UNSUPPORTED, name, what.to_owned());
    }
    Ok((to, router))
}
