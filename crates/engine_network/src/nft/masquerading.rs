//! Where connections of endpoints get another source address, if they need that.

use super::{
    Rules, balancers, lending, outbound,
    tables::{ADDRESS_6, Element, Table, octets},
};

/// Endpoints of IPv6 without a way back to clients elsewhere.
const ONE_WAY: &str = "one_way";

/// The chain for all connections that leave the host.
pub(super) const CHAIN: &str = "masquerading";

/// Writes it, and the chains that it leads to.
pub(super) fn chains(table: &mut Table<'_>, rules: &Rules) {
    lending::sets_and_chain(table, &lending::OF_IPV4, rules.lent);
    outbound::chains(table, rules);
    if rules.leads_6() {
        lending::sets_and_chain(table, &lending::OF_IPV6, rules.lent);
    }
    table.inner_chain(CHAIN);
    // What the host sends to itself has a port that its own program was given.
    table.rule(CHAIN, |rule| {
        rule.is_ipv4()
            .source_is_loopback()
            .leaves("open", true)
            .masquerade()
    });
    // Of two endpoints that meet by a published port the second would answer the first directly, which knows it by
    // another address.
    table.rule(CHAIN, |rule| {
        rule.is_ipv4()
            .source_in("subnets")
            .destination_in("subnets")
            .was_translated()
            .go_to(lending::CHAIN)
    });
    if rules.leads_6() {
        of_ipv6(table, rules);
    }
    outbound::translate(table, CHAIN, rules);
    table.rule(CHAIN, |rule| {
        rule.is_ipv4()
            .source_in("subnets")
            .leaves("ours", false)
            .go_to(lending::CHAIN)
    });
}

/// Connections of IPv6 are translated only where a load balancer leads them: of two endpoints the second would answer
/// the first directly, and one without a way back to its client would not answer at all.
fn of_ipv6(table: &mut Table<'_>, rules: &Rules) {
    table.set(ONE_WAY, &[ADDRESS_6], 16, 0, None);
    let addresses = balancers::one_way(&rules.balancers).into_iter();
    let elements = addresses.map(|address| Element::key(&[&octets(address)]));
    table.elements(ONE_WAY, &elements.collect::<Vec<_>>());
    table.rule(CHAIN, |rule| {
        rule.is_of(false)
            .address_is_of("subnets_6", false, false)
            .address_is_of("subnets_6", false, true)
            .was_translated()
            .go_to(lending::OF_IPV6.chain)
    });
    table.rule(CHAIN, |rule| {
        rule.is_of(false)
            .address_is_of(ONE_WAY, false, true)
            .was_translated()
            .go_to(lending::OF_IPV6.chain)
    });
}
