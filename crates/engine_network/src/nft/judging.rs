//! What endpoints may receive from others by a port of the host.
//!
//! Of two endpoints that meet so the second sees an address of the host, and not that of the first: its own rules
//! cannot tell who it is. So where they tell peers from each other, they are here once more, where the source is still
//! what it was. A balancer that has a source of its own is one peer, as its endpoints see it. Endpoints of IPv6 without
//! a way back see the host's address for all clients of a balancer, so theirs are decided here as well.

use std::{collections::BTreeSet, net::IpAddr};

use hcn::{AccessRule, Addresses, intent::EndpointIntent};

use super::{
    Rules,
    access::{Place, Way, combinations, write_sets},
    balancers,
    tables::{Hook, Table, octets},
};

const CHAIN: &str = "judging";

/// Combinations of rules and members of sets that are written once more. Where an endpoint has more than are left, no
/// other one reaches it by a port of the host: all tables are one transaction, which holds up other changes.
const MOST: usize = 8192;

/// Whether an endpoint is reached by ports of the host, and tells peers from each other.
pub(super) fn is_needed(endpoint: &EndpointIntent) -> bool {
    let is_reached = endpoint.balanced || !endpoint.mappings.is_empty();
    let of_tiers = endpoint.tiers.iter().flat_map(|tier| &tier.rules);
    let mut rules = endpoint.access.iter().chain(of_tiers);
    is_reached && rules.any(|rule| !rule.is_outgoing && tells_peers(rule))
}

fn tells_peers(rule: &AccessRule) -> bool {
    !rule.remote_ports.is_empty() || rule.remote != Addresses::Listed(Vec::new())
}

/// Writes the chain, where an endpoint needs it.
pub(super) fn chain(table: &mut Table<'_>, rules: &Rules) {
    if rules.judged.is_empty() {
        return;
    }
    // Before what passes between networks is decided: what passes here is decided there.
    let hook = Hook::filter(2, -1);
    table.chain(CHAIN, &hook);
    table.rule(CHAIN, |rule| rule.is_established().accept());
    balancers::peers(table, CHAIN, &rules.balancers);
    // Those with few rules come first: no user fills the room for others by endpoints with many.
    let mut judged: Vec<&EndpointIntent> = rules.judged.iter().collect();
    judged.sort_by_cached_key(|endpoint| weight(endpoint));
    let one_way = balancers::one_way(&rules.balancers);
    let mut left = MOST;
    for (number, endpoint) in judged.into_iter().enumerate() {
        let reached_at = reached_at(endpoint, rules.leads_6());
        if reached_at.is_empty() {
            continue;
        }
        let inner = format!("{CHAIN}_{number}");
        let room = left.checked_sub(weight(endpoint));
        if let Some(room) = room {
            left = room;
            decide(table, &inner, endpoint);
        }
        for address in reached_at {
            let is_seen_as_host = one_way.contains(&address);
            lead(table, &inner, (address, is_seen_as_host), room.is_some());
        }
    }
}

/// The addresses that ports of the host lead to: one of each family, as far as rules lead there.
fn reached_at(endpoint: &EndpointIntent, with_6: bool) -> BTreeSet<IpAddr> {
    let first = |ipv4: bool| {
        let mut addresses = endpoint.addresses.iter().map(|(address, _)| *address);
        addresses.find(|address| address.is_ipv4() == ipv4)
    };
    let six = first(false).filter(|_| with_6);
    first(true).into_iter().chain(six).collect()
}

/// Leads what comes to an address to the rules that decide, or drops it where there was no room for these. Other
/// endpoints are seen as the host in any case, and clients elsewhere where that is said.
fn lead(
    table: &mut Table<'_>,
    to: &str,
    (address, all_are_seen_as_host): (IpAddr, bool),
    are_there: bool,
) {
    let ipv4 = address.is_ipv4();
    let octets = octets(address);
    table.rule(CHAIN, |rule| {
        rule.is_of(ipv4).was_translated();
        if !all_are_seen_as_host {
            let subnets = if ipv4 { "subnets" } else { "subnets_6" };
            rule.address_is_of(subnets, ipv4, false);
        }
        rule.address_in(&octets, &vec![u8::MAX; octets.len()], true);
        match are_there {
            true => rule.jump(to),
            false => rule.drop(),
        }
    });
}

fn weight(endpoint: &EndpointIntent) -> usize {
    let of_tiers = endpoint.tiers.iter().flat_map(|tier| &tier.rules);
    let rules = endpoint.access.iter().chain(of_tiers);
    let rules = rules.filter(|rule| !rule.is_outgoing);
    let rules = rules.map(|rule| combinations(rule, &endpoint.sets).len());
    rules.chain(endpoint.sets.values().map(Vec::len)).sum()
}

fn decide(table: &mut Table<'_>, chain: &str, endpoint: &EndpointIntent) {
    let sets = format!("{chain}_");
    let way = Way {
        outgoing: false,
        place: Place::Host(&sets),
    };
    write_sets(table, endpoint, &sets);
    table.inner_chain(chain);
    way.decide(table, chain, endpoint);
}
