//! Rules for what single endpoints send to the outside: which peers see their own address, and which one others see.

use std::{collections::BTreeSet, net::Ipv4Addr};

use hcn::Prefix;

use super::{
    Rules,
    access::mask,
    expression::{Ended, Expressions},
    lending,
    tables::{Table, octets},
};

/// Writes the chains for connections that get an address of their own.
pub(super) fn chains(table: &mut Table<'_>, rules: &Rules) {
    let addresses = rules.outbound.iter();
    let addresses: BTreeSet<_> = addresses.filter_map(|(_, one)| one.address).collect();
    for address in addresses {
        let chain = chain_of(address);
        table.inner_chain(&chain);
        let of = (&lending::OF_IPV4, rules.lent);
        lending::lend(table, &chain, of, |rule, ports| {
            rule.come_from_at(address, ports)
        });
    }
}

fn chain_of(address: Ipv4Addr) -> String {
    format!("{}_{address}", lending::CHAIN)
}

/// Translates connections of endpoints that ask for it, before the rule for all others.
pub(super) fn translate(table: &mut Table<'_>, chain: &str, rules: &Rules) {
    for (address, outbound) in &rules.outbound {
        let leaves = |rule: &mut Expressions<'_>, to: Option<Prefix>| {
            rule.is_ipv4()
                .address_in(&address.octets(), &[u8::MAX; 4], false)
                .leaves("ours", false);
            if let Some(to) = to {
                rule.address_in(&octets(to.first()), &mask(to), true);
            }
        };
        for to in &outbound.exceptions {
            table.rule(chain, |rule| {
                leaves(rule, Some(*to));
                rule.accept()
            });
        }
        for to in &outbound.destinations {
            table.rule(chain, |rule| {
                leaves(rule, Some(*to));
                seen_as(rule, outbound.address)
            });
        }
        let all = outbound.destinations.is_empty();
        if all && outbound.address.is_none() {
            continue;
        }
        table.rule(chain, |rule| {
            leaves(rule, None);
            match all {
                true => seen_as(rule, outbound.address),
                false => rule.accept(),
            }
        });
    }
}

fn seen_as(rule: &mut Expressions<'_>, address: Option<Ipv4Addr>) -> Ended {
    match address {
        Some(address) => rule.go_to(&chain_of(address)),
        None => rule.go_to(lending::CHAIN),
    }
}
