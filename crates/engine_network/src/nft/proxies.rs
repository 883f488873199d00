//! Where connections of an endpoint are led to a proxy: a chain in its namespace. Its proxies are outside of it, so
//! none gets its own connections back.

use std::net::IpAddr;

use hcn::{Prefix, Proxy, intent::EndpointIntent};

use super::{
    access::mask,
    expression::Expressions,
    tables::{Hook, Table, interface, octets},
};

const CHAIN: &str = "proxied";

/// Writes the rules: a chain for each proxy, which a connection leaves again that is an exception.
pub(super) fn lead(table: &mut Table<'_>, endpoint: &EndpointIntent) {
    if endpoint.proxies.is_empty() {
        return;
    }
    let hook = Hook::nat(3, -100);
    table.chain(CHAIN, &hook);
    let link = interface(&endpoint.inner);
    for (at, proxy) in endpoint.proxies.iter().enumerate() {
        let inner = format!("{CHAIN}_{at}");
        table.inner_chain(&inner);
        for peer in &proxy.exceptions {
            table.rule(&inner, |rule| {
                to(rule, *peer);
                rule.go_back()
            });
        }
        table.rule(&inner, |rule| rule.lead_to_proxy(proxy.address, proxy.port));
        let everything = proxy.destinations.is_empty().then_some(None);
        let peers = proxy.destinations.iter().copied().map(Some);
        for peer in peers.chain(everything) {
            table.rule(CHAIN, |rule| {
                begin(rule, &link, proxy);
                if let Some(peer) = peer {
                    to(rule, peer);
                }
                rule.jump(&inner)
            });
        }
    }
}

/// Only what leaves by the endpoint's link is concerned.
fn begin(rule: &mut Expressions<'_>, link: &[u8; 16], proxy: &Proxy) {
    let ipv4 = matches!(proxy.address, IpAddr::V4(_));
    rule.is_at(link, true)
        .is_of(ipv4)
        .is_protocol(proxy.protocol.number());
}

fn to(rule: &mut Expressions<'_>, peer: Prefix) {
    if !peer.is_all() {
        rule.address_in(&octets(peer.first()), &mask(peer), true);
    }
}
