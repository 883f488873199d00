//! What endpoints say of packets that were too large.
//!
//! A report that a packet was too large is believed by the kernel, whatever packet it speaks of. So an endpoint could
//! make the way from the host to any address a narrow one, for ten minutes. Reports pass that are about packets to the
//! endpoint itself.

use super::tables::{ETHERTYPE_IPV4, ETHERTYPE_IPV6, Table};

/// Drops reports of too large packets but those about packets to the port's own addresses. One that is cut before it
/// tells where the packet was to go is dropped, too.
pub(super) fn hold_reports(table: &mut Table<'_>, chain: &str) {
    table.rule(chain, |rule| {
        rule.frame_is(ETHERTYPE_IPV4)
            .says_too_large()
            .was_to("addresses")
            .packet_is_from("addresses", true)
            .accept()
    });
    table.rule(chain, |rule| {
        rule.frame_is(ETHERTYPE_IPV4).says_too_large().drop()
    });
    table.rule(chain, |rule| {
        rule.frame_is(ETHERTYPE_IPV6)
            .says_too_large_6()
            .was_to_6("addresses_6")
            .packet6_is_from("addresses_6", true)
            .accept()
    });
    table.rule(chain, |rule| {
        rule.frame_is(ETHERTYPE_IPV6).says_too_large_6().drop()
    });
}
