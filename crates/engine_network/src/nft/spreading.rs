//! To how many neighbours of the host an endpoint begins to speak at once.
//!
//! Whatever is forwarded to an address that no host has makes an entry of the kernel's table of neighbours. That table
//! is one for all network namespaces and takes some thousand entries: an endpoint that sends to each address of a large
//! subnet of the host would fill it, and nothing new would find its neighbour any more.
//!
//! What counts is the next host on the way, not the destination: all that goes to the outside by the same router is
//! one. Nor does a connection count that was answered, nor what leaves by a link without neighbours ([`ALONE`]), where
//! no router has an address. So a program that reads half of the internet, or asks one host as fast as it can, meets no
//! limit. (A router of IPv6 on the way of IPv4 is not told by the kernel: there each destination counts.)

use super::{
    expression::PerKey,
    tables::{ADDRESS, ADDRESS_6, Table},
};

/// The chain that what comes from endpoints goes through.
pub(super) const CHAIN: &str = "spreading";

/// Neighbours that one endpoint may begin to speak to at once, and how many more each second.
const AT_ONCE: u32 = 512;
const A_SECOND: u64 = 100;
/// Kinds of links that have no neighbours: PPP, raw IP, tunnels of IP in IP, SIT and GRE, and those of programs (tun,
/// WireGuard).
const ALONE: [u16; 8] = [512, 519, 768, 769, 776, 778, 823, 65534];
/// How long one that was spoken to counts as known, in milliseconds: as long as the kernel keeps the entry at least.
const KNOWN: u64 = 5000;
/// How long an endpoint that is silent is remembered, in milliseconds: until it may begin to speak to as many again.
const REMEMBERED: u64 = 60_000;
/// Elements of each set, some megabytes of the host. Endpoints have few each; in full sets nothing is noted, and each
/// packet counts that belongs to no connection.
const MOST: u32 = 64 << 10;

/// The sets of a family: neighbours that endpoints speak to, and how fast these are.
struct Family {
    ipv4: bool,
    kind: u32,
    length: u32,
    known: &'static str,
    paces: &'static str,
}

const FAMILIES: [Family; 2] = [
    Family {
        ipv4: true,
        kind: ADDRESS,
        length: 4,
        known: "spoken_to",
        paces: "paces",
    },
    Family {
        ipv4: false,
        kind: ADDRESS_6,
        length: 16,
        known: "spoken_to_6",
        paces: "paces_6",
    },
];

/// The chain: what is too much is dropped, and all else goes back.
pub(super) fn sets_and_chain(table: &mut Table<'_>) {
    for family in &FAMILIES {
        let kinds = [family.kind, family.kind];
        table.filled(family.known, &kinds, 2 * family.length, MOST);
        table.filled(family.paces, &kinds[..1], family.length, MOST);
    }
    table.inner_chain(CHAIN);
    table.rule(CHAIN, |rule| rule.is_established().go_back());
    for kind in ALONE {
        table.rule(CHAIN, |rule| rule.leaves_by_kind(kind).go_back());
    }
    for family in &FAMILIES {
        let ipv4 = family.ipv4;
        table.rule(CHAIN, |rule| {
            rule.is_of(ipv4)
                .next_host(ipv4)
                .is_noted(family.known)
                .go_back()
        });
        // Ports are held to their addresses: a source is an endpoint.
        table.rule(CHAIN, |rule| {
            let pace = PerKey {
                set: family.paces,
                rate: A_SECOND,
                burst: AT_ONCE,
                remembered: REMEMBERED,
            };
            rule.is_of(ipv4)
                .source(ipv4)
                .is_faster_for_key(&pace)
                .drop()
        });
        table.rule(CHAIN, |rule| {
            rule.is_of(ipv4).next_host(ipv4).note(family.known, KNOWN)
        });
    }
}
