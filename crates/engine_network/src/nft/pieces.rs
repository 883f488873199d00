//! Packets that endpoints send in pieces. The host puts them together before its rules see them: pieces wait until all
//! are there, up to 30 seconds, in room that all networks share.

use super::{
    expression::PerKey,
    tables::{ETHERTYPE_IPV4, ETHERTYPE_IPV6, INTERFACE, Table},
};

/// Pieces that may come by one port at once, and each second. Those of 30 seconds take some more than half of the room
/// that there is after `room` has made some: each takes some 2.5 KB at least.
const AT_ONCE: u32 = 1000;
const A_SECOND: u64 = 500;
/// How long a port that sent none is remembered, in milliseconds.
const REMEMBERED: u64 = 10_000;
/// Ports that are known at a time, at most.
const MOST: u32 = 64 << 10;

const PORTS: &str = "in_pieces";

/// The set of ports that send packets in pieces.
pub(super) fn set(table: &mut Table<'_>) {
    table.filled(PORTS, &[INTERFACE], 16, MOST);
}

/// Drops what comes in pieces too fast.
pub(super) fn limit(table: &mut Table<'_>, chain: &str) {
    const PACE: PerKey = PerKey {
        set: PORTS,
        rate: A_SECOND,
        burst: AT_ONCE,
        remembered: REMEMBERED,
    };
    table.rule(chain, |rule| {
        rule.frame_is(ETHERTYPE_IPV4)
            .is_piece()
            .port()
            .is_faster_for_key(&PACE)
            .drop()
    });
    table.rule(chain, |rule| {
        rule.frame_is(ETHERTYPE_IPV6)
            .is_piece_6()
            .port()
            .is_faster_for_key(&PACE)
            .drop()
    });
}
