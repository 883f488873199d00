//! Isolated endpoints do not meet by their router either.
//!
//! A bridge forwards no frame from one isolated port to another. But a frame to a hardware address of the host goes to
//! the host, which would route the packet back into the network: there nothing tells the ports any more. So of what
//! stays within a network no packet passes from the address of an isolated endpoint to that of another. Ports are held
//! to their own addresses, so the source tells which endpoint has sent it.
//!
//! What a published port or a load balancer leads is for all endpoints, as it is for those of other networks. (Where
//! the kernel shows rules what bridges forward, it leads that by the bridge itself, which keeps isolated ports apart.)
//! Rules of endpoints for what they send and receive stand where each packet passes, whichever way it takes
//! ([`super::access`], [`super::cards`]), so nothing of them is here.

use std::{collections::BTreeSet, net::IpAddr};

use hcn::intent::EndpointIntent;

use super::{
    Rules,
    tables::{ADDRESS, ADDRESS_6, Element, INTERFACE, Table, interface, octets},
};

/// The chain for what stays within a network.
pub(super) const CHAIN: &str = "staying";

/// The bridge and the address of each isolated endpoint.
pub(super) const ISOLATED: &str = "isolated";
pub(super) const ISOLATED_6: &str = "isolated_6";

/// The bridge of an endpoint with each of its addresses, where it is isolated.
pub(super) fn places(endpoint: &EndpointIntent) -> impl Iterator<Item = (String, IpAddr)> {
    let addresses = endpoint.addresses.iter().filter(|_| endpoint.isolated);
    addresses.map(|(address, _)| (endpoint.bridge.clone(), *address))
}

/// Elements for isolated endpoints, of IPv4 and of IPv6.
pub(super) fn elements(isolated: &BTreeSet<(String, IpAddr)>) -> [Vec<Element>; 2] {
    let of = |ipv4: bool| {
        let places = isolated
            .iter()
            .filter(|(_, address)| address.is_ipv4() == ipv4);
        let elements =
            places.map(|(bridge, address)| Element::key(&[&interface(bridge), &octets(*address)]));
        elements.collect()
    };
    [of(true), of(false)]
}

/// Writes the sets and the chain.
pub(super) fn sets_and_chain(table: &mut Table<'_>, rules: &Rules) {
    let [v4, v6] = elements(&rules.isolated);
    table.set(ISOLATED, &[INTERFACE, ADDRESS], 20, 0, None);
    table.elements(ISOLATED, &v4);
    table.set(ISOLATED_6, &[INTERFACE, ADDRESS_6], 32, 0, None);
    table.elements(ISOLATED_6, &v6);
    table.inner_chain(CHAIN);
    table.rule(CHAIN, |rule| rule.was_translated().accept());
    table.rule(CHAIN, |rule| {
        rule.is_of(true)
            .packet_is_from(ISOLATED, true)
            .packet_is_to(ISOLATED)
            .drop()
    });
    table.rule(CHAIN, |rule| {
        rule.is_of(false)
            .packet6_is_from(ISOLATED_6, true)
            .packet6_is_to(ISOLATED_6)
            .drop()
    });
    table.rule(CHAIN, |rule| rule.accept());
}
