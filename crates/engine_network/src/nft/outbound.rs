//! Rules for what single endpoints send to the outside: which peers see their own address, and which one others see.

use std::net::Ipv4Addr;

use hcn::Prefix;

use super::{
    Rules,
    access::mask,
    expression::{Ended, Expressions},
    tables::{Table, octets},
};

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
        Some(address) => rule.come_from(address),
        None => rule.masquerade(),
    }
}
