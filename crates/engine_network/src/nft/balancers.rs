//! Rules of load balancers: connections to their addresses and ports are led to one of their endpoints.
//!
//! The number of a balancer and that of a place make the key of one map, whose value is an address. Which place it is
//! says the kernel, at random for each connection, or by what a connection comes from.

use hcn::{BalancedPort, intent::BalancerIntent};
use hcs_schema::fnv;

use super::{
    masquerading,
    tables::{ADDRESS, Element, MARK, Table},
};

/// The map of all targets.
const TARGETS: &str = "targets";

/// Writes the map.
pub(super) fn targets(table: &mut Table<'_>, balancers: &[BalancerIntent]) {
    if balancers.is_empty() {
        return;
    }
    table.set(TARGETS, &[MARK, MARK], 8, 0, Some((&[ADDRESS], 4)));
    let elements = (0_u32..).zip(balancers).flat_map(|(number, balancer)| {
        let places = (0_u32..).zip(&balancer.targets);
        places.map(move |(place, address)| {
            Element::key(&[&number.to_ne_bytes(), &place.to_ne_bytes()]).with(&address.octets())
        })
    });
    table.elements(TARGETS, &elements.collect::<Vec<_>>());
}

/// The ports of a balancer: those of single addresses, or those of all addresses of the host.
fn ports(balancer: &BalancerIntent, at_address: bool) -> impl Iterator<Item = &BalancedPort> {
    let ports = balancer.ports.iter();
    ports.filter(move |port| port.address.is_some() == at_address)
}

/// Leads connections to endpoints: those to single addresses (`at_address`), or those to all addresses of the host.
pub(super) fn destinations(
    table: &mut Table<'_>,
    chain: &str,
    balancers: &[BalancerIntent],
    at_address: bool,
) {
    for (number, balancer) in (0_u32..).zip(balancers) {
        let count = u32::try_from(balancer.targets.len()).unwrap_or(u32::MAX);
        // The same after each change of rules, so that sources stay where they were.
        let [.., a, b, c, d] = fnv::hash(fnv::BASIS, &balancer.id.0.to_be_bytes()).to_be_bytes();
        let seed = u32::from_be_bytes([a, b, c, d]);
        for port in ports(balancer, at_address) {
            table.rule(chain, |rule| {
                let rule = rule.is_ipv4();
                match port.address {
                    Some(address) => rule.address_in(&address.octets(), &[u8::MAX; 4], true),
                    None => rule.destination_is_local(),
                }
                .is_protocol(port.protocol.number())
                .port_in((port.external, port.external), true)
                .choose(port.spread, count, seed)
                .lead_by(TARGETS, number, port.internal)
            });
        }
    }
}

/// Gives connections the source address that a balancer has: those to single addresses (`at_address`), or others. What
/// is sent to a single address gets none that only a balancer of all addresses has.
pub(super) fn sources(
    table: &mut Table<'_>,
    chain: &str,
    balancers: &[BalancerIntent],
    at_address: bool,
) {
    for balancer in balancers {
        if balancer.source.is_none() && !at_address {
            continue;
        }
        for port in ports(balancer, at_address) {
            table.rule(chain, |rule| {
                let rule = rule
                    .is_ipv4()
                    .is_protocol(port.protocol.number())
                    .was_translated()
                    .was_sent_to(port.address, port.external);
                match balancer.source {
                    Some(source) => rule.come_from(source),
                    None => rule.go_to(masquerading::CHAIN),
                }
            });
        }
    }
}

/// What balancers give a source address of their own passes: it is as if they had sent it.
pub(super) fn peers(table: &mut Table<'_>, chain: &str, balancers: &[BalancerIntent]) {
    for balancer in balancers.iter().filter(|one| one.source.is_some()) {
        for port in &balancer.ports {
            table.rule(chain, |rule| {
                rule.is_ipv4()
                    .is_protocol(port.protocol.number())
                    .was_translated()
                    .was_sent_to(port.address, port.external)
                    .accept()
            });
        }
    }
}
