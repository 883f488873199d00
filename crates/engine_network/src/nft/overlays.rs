//! Rules of overlays: only hosts that a network was told of speak to its tunnels.

use std::collections::BTreeSet;

use super::{
    Rules,
    tables::{ADDRESS, CARD, Element, INTERFACE, MARK, PORT, Table, interface},
};

/// The port and the number of each tunnel.
const TUNNELS: &str = "overlays";
/// The same with each host that may speak to it.
const SPEAKERS: &str = "overlay_hosts";

/// A number as packets have it, in three bytes.
fn bytes(number: u32) -> [u8; 4] {
    let [_, high, middle, low] = number.to_be_bytes();
    [high, middle, low, 0]
}

/// Writes the sets.
pub(super) fn sets(table: &mut Table<'_>, rules: &Rules) {
    if rules.speakers.is_empty() {
        return;
    }
    table.set(TUNNELS, &[PORT, MARK], 8, 0, None);
    table.set(SPEAKERS, &[ADDRESS, PORT, MARK], 12, 0, None);
    let (mut tunnels, mut speakers) = (Vec::new(), Vec::new());
    for ((port, number), hosts) in &rules.speakers {
        let (port, number) = (port.to_be_bytes(), bytes(*number));
        tunnels.push(Element::key(&[&port, &number]));
        speakers.extend(
            hosts
                .iter()
                .map(|host| Element::key(&[&host.octets(), &port, &number])),
        );
    }
    table.elements(TUNNELS, &tunnels);
    table.elements(SPEAKERS, &speakers);
}

/// Writes the sets of links to other hosts, and of the cards of endpoints here.
pub(super) fn own_cards(table: &mut Table<'_>, rules: &Rules) {
    if rules.tunnels.is_empty() {
        return;
    }
    table.set("tunnels", &[INTERFACE], 16, 0, None);
    let tunnels = rules
        .tunnels
        .iter()
        .map(|name| Element::of(&interface(name)));
    table.elements("tunnels", &tunnels.collect::<Vec<_>>());
    table.set("own_cards", &[CARD], 6, 0, None);
    let cards: BTreeSet<_> = rules.ports.values().map(|(mac, _)| mac.0).collect();
    let cards = cards.iter().map(|mac| Element::of(mac));
    table.elements("own_cards", &cards.collect::<Vec<_>>());
}

/// No other host sends with the card of an endpoint here.
pub(super) fn keep_own_cards(table: &mut Table<'_>, chain: &str, rules: &Rules) {
    if rules.tunnels.is_empty() {
        return;
    }
    table.rule(chain, |rule| {
        rule.came_in("tunnels", true).card_is_in("own_cards").drop()
    });
}

/// Drops what other hosts send to a tunnel.
pub(super) fn keep_strangers_away(table: &mut Table<'_>, chain: &str, rules: &Rules) {
    if rules.speakers.is_empty() {
        return;
    }
    table.rule(chain, |rule| {
        rule.is_ipv4()
            .is_overlaid_in(TUNNELS)
            .is_overlaid_from(SPEAKERS, false)
            .drop()
    });
}

/// The host tells endpoints of no other router: that of a subnet elsewhere is reached by the host alone.
pub(super) fn tell_no_routers(table: &mut Table<'_>, chain: &str) {
    const ICMP: u8 = 1;
    const REDIRECT: u8 = 5;
    table.rule(chain, |rule| {
        rule.is_ipv4()
            .leaves("ours", true)
            .is_icmp(ICMP, REDIRECT)
            .drop()
    });
}
