//! Rules of load balancers: connections to their addresses and ports are led to one of their endpoints.
//!
//! The number of a balancer and that of a place make the key of a map, whose value is an address: one map for each
//! family. Which place it is says the kernel, at random for each connection, or by what a connection comes from.

use std::{collections::BTreeSet, net::IpAddr};

use hcn::{BalancedPort, intent::BalancerIntent};
use hcs_schema::fnv;

use super::{
    expression::{Ended, Expressions, REGISTER, family},
    masquerading,
    tables::{ADDRESS, ADDRESS_6, Element, MARK, Table, octets},
};

/// The maps of all targets.
const TARGETS: &str = "targets";
const TARGETS_6: &str = "targets_6";

/// The map of a family.
const fn map(ipv4: bool) -> &'static str {
    if ipv4 { TARGETS } else { TARGETS_6 }
}

/// Writes the maps.
pub(super) fn targets(table: &mut Table<'_>, balancers: &[BalancerIntent]) {
    for (ipv4, kind, length) in [(true, ADDRESS, 4), (false, ADDRESS_6, 16)] {
        let of_family = |balancer: &&BalancerIntent| balancer.is_ipv4 == ipv4;
        if !balancers.iter().any(|one| of_family(&one)) {
            continue;
        }
        table.set(map(ipv4), &[MARK, MARK], 8, 0, Some((&[kind], length)));
        let numbered = (0_u32..).zip(balancers);
        let elements = numbered
            .filter(|(_, one)| of_family(one))
            .flat_map(|(number, balancer)| {
                let places = (0_u32..).zip(&balancer.targets);
                places.map(move |(place, address)| {
                    let key = Element::key(&[&number.to_ne_bytes(), &place.to_ne_bytes()]);
                    key.with(&octets(*address))
                })
            });
        table.elements(map(ipv4), &elements.collect::<Vec<_>>());
    }
}

/// Endpoints of IPv6 that see an address of the host in the place of clients' elsewhere: they have no way back to
/// these.
pub(super) fn one_way(balancers: &[BalancerIntent]) -> BTreeSet<IpAddr> {
    let all = balancers.iter().flat_map(|balancer| &balancer.one_way);
    all.copied().collect()
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
        let ipv4 = balancer.is_ipv4;
        let count = u32::try_from(balancer.targets.len()).unwrap_or(u32::MAX);
        // The same after each change of rules, so that sources stay where they were.
        let [.., a, b, c, d] = fnv::hash(fnv::BASIS, &balancer.id.0.to_be_bytes()).to_be_bytes();
        let seed = u32::from_be_bytes([a, b, c, d]);
        for port in ports(balancer, at_address) {
            table.rule(chain, |rule| {
                let rule = rule.is_of(ipv4);
                match port.address.map(octets) {
                    Some(address) => rule.address_in(&address, &vec![u8::MAX; address.len()], true),
                    None if ipv4 => rule.destination_is_local(),
                    None => rule.destination_is_no_loopback_6().destination_is_local(),
                }
                .is_protocol(port.protocol.number())
                .port_in((port.external, port.external), true)
                .choose(port.spread, ipv4, (count, seed))
                .lead_by(map(ipv4), ipv4, number, port.internal)
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
                    .is_of(balancer.is_ipv4)
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
                rule.is_of(balancer.is_ipv4)
                    .is_protocol(port.protocol.number())
                    .was_translated()
                    .was_sent_to(port.address, port.external)
                    .accept()
            });
        }
    }
}

/// Of IPv6 only answers leave for the outside: those to clients there that a balancer has led to an endpoint.
pub(super) fn answers_6(table: &mut Table<'_>, chain: &str) {
    table.rule(chain, |rule| {
        rule.is_of(false)
            .came_in("open", true)
            .leaves("ours", false)
            .is_established()
            .was_translated()
            .accept()
    });
}

impl Expressions<'_> {
    /// What the map has for `number` and the place that was chosen becomes its destination, with this port.
    fn lead_by(&mut self, map: &str, ipv4: bool, number: u32, port: u16) -> Ended {
        const DESTINATION: u32 = 1;
        // Registers are filled by fours: an address of IPv6 takes four of them.
        let port_at = REGISTER + if ipv4 { 1 } else { 4 };
        self.put(&number.to_ne_bytes(), REGISTER)
            .add("lookup", |batch| {
                batch.text(1, map).big(2, REGISTER).big(3, REGISTER);
            })
            .put(&port.to_be_bytes(), port_at)
            .add("nat", |batch| {
                batch
                    .big(1, DESTINATION)
                    .big(2, family(ipv4))
                    .big(3, REGISTER)
                    .big(5, port_at);
            });
        Ended
    }

    /// This address becomes its source.
    fn come_from(&mut self, address: IpAddr) -> Ended {
        const SOURCE: u32 = 0;
        let family = family(address.is_ipv4());
        self.put(&octets(address), REGISTER).add("nat", |batch| {
            batch.big(1, SOURCE).big(2, family).big(3, REGISTER);
        });
        Ended
    }
}
