//! Where connections of endpoints get another source address, if they need that.

use super::{Rules, lending, outbound, tables::Table};

/// The chain for all connections that leave the host.
pub(super) const CHAIN: &str = "masquerading";

/// Writes it, and the chains that it leads to.
pub(super) fn chains(table: &mut Table<'_>, rules: &Rules) {
    lending::sets_and_chain(table, rules.lent);
    outbound::chains(table, rules);
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
    outbound::translate(table, CHAIN, rules);
    table.rule(CHAIN, |rule| {
        rule.is_ipv4()
            .source_in("subnets")
            .leaves("ours", false)
            .go_to(lending::CHAIN)
    });
}
