//! Rules of single cards of virtual machines: how fast they send, and what they may send and receive. A container keeps
//! such rules in its own namespace; a guest has a kernel of its own, so its rules stand at the port of the bridge.
//!
//! Each card has a table of its own, written when its rules change and not with those of others: what it has sent in
//! the last second counts on, and so do its connections. Bridges do not know connections in all kernels, so the table
//! notes them itself: who may begin one is what the rules say, and packets of those that were begun pass both ways. A
//! packet counts for the connection of its addresses, protocol and ports, whatever else it says: a guest cannot make
//! one up.

use std::collections::BTreeSet;

use hcn::intent::EndpointIntent;
use rustix::io::Errno;

use super::{
    access::{Place, Way, write_sets},
    contents,
    expression::{Expressions, Flow},
    tables::{
        BEGIN, BRIDGE, END, ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, Hook, Table, control,
        delete, interface, make,
    },
};
use crate::netlink::{Batch, NetlinkError, Socket, flag};

/// How the names of links begin that are ports of endpoints.
const LINK: &str = "hce";

/// Chains of a table.
const RATES: &str = "rates";
const SENDING: &str = "sending";
const RECEIVING: &str = "receiving";
const NOTING: [&str; 2] = ["noting_received", "noting_sent"];

/// Connections of each family that one card can have; more work only where no rule is about their answers. A full set
/// takes some 20 MB of the host.
const MOST_FLOWS: u32 = 128 << 10;

const TCP: u8 = 6;
/// Flags of TCP.
const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;
/// How long a connection of TCP may be silent that is only begun, or that is being closed, in milliseconds.
const UNCERTAIN: u64 = 120_000;

/// Protocols with ports, and how long a connection of theirs may be silent, in milliseconds: at first, and after
/// another packet. Peers of SCTP ask for each other every 30 seconds.
const WITH_PORTS: [(u8, u64, u64); 3] = [
    (TCP, UNCERTAIN, 3_600_000),
    (17, 180_000, 180_000),
    (132, 210_000, 210_000),
];
/// How long an answer to an echo may take, in milliseconds.
const ECHO: u64 = 30_000;

/// The two families: their frames, the sets of their connections and of those that are being closed, ICMP, its echo and
/// the answer to that, and its errors.
struct Family {
    frame: u16,
    flows: &'static str,
    closing: &'static str,
    icmp: u8,
    echo: u8,
    answer: u8,
    errors: &'static [u8],
}

const FAMILIES: [Family; 2] = [
    Family {
        frame: ETHERTYPE_IPV4,
        flows: "flows",
        closing: "closing",
        icmp: 1,
        echo: 8,
        answer: 0,
        errors: &[3, 11, 12],
    },
    Family {
        frame: ETHERTYPE_IPV6,
        flows: "flows_6",
        closing: "closing_6",
        icmp: 58,
        echo: 128,
        answer: 129,
        errors: &[1, 2, 3, 4],
    },
];

/// Messages of IPv6 without which no address is found.
const NEIGHBOURS: [u8; 6] = [130, 131, 132, 135, 136, 143];

/// Writes the rules of cards that are not there as they are wanted, and removes those of cards that want none, and of
/// links that are not `known`. `is_clear` tells that no card has any, so that without cards nothing is looked at.
pub(crate) fn set(
    socket: &mut Socket,
    owner: &str,
    cards: &[&EndpointIntent],
    known: &BTreeSet<&str>,
    is_clear: &mut bool,
) -> Result<(), NetlinkError> {
    let wants_none = !cards.iter().any(|card| has_rules(card));
    if std::mem::replace(is_clear, false) && wants_none {
        *is_clear = true;
        return Ok(());
    }
    let beginning = format!("{owner}_");
    let there = contents::tables(socket, BRIDGE, &beginning)?;
    let there: BTreeSet<&str> = there
        .iter()
        .filter_map(|name| name.strip_prefix(&beginning))
        .filter(|link| is_link(link))
        .collect();
    let mut batch = Batch::default();
    control(&mut batch, BEGIN);
    let empty = batch.length();
    let (mut sets, mut last) = (0, None);
    for link in &there {
        let is_wanted = |card: &&EndpointIntent| card.link == **link && has_rules(card);
        let is_card = cards.iter().any(|card| card.link == **link);
        if !cards.iter().any(is_wanted) && (is_card || !known.contains(link)) {
            delete(&mut batch, BRIDGE, &format!("{beginning}{link}"), flag::ACK);
        }
    }
    for card in cards.iter().filter(|card| has_rules(card)) {
        let name = format!("{beginning}{}", card.link);
        if there.contains(&*card.link) && is_there(socket, &name, card)? {
            continue;
        }
        let mut table = Table::of(BRIDGE, &name, &mut sets);
        fill(&mut table, card);
        table.replace(&mut batch);
        last = Some(name);
    }
    if batch.length() == empty {
        *is_clear = wants_none && there.is_empty();
        return Ok(());
    }
    if let Some(last) = last {
        // Only this is acknowledged of all that was made.
        make(&mut batch, BRIDGE, &last, flag::ACK);
    }
    control(&mut batch, END);
    socket.run(batch).map_err(too_many)
}

/// Words for the refusal of a chain that is one too many.
fn too_many(error: NetlinkError) -> NetlinkError {
    match error.errno() {
        Some(errno @ Errno::TOOBIG) => NetlinkError::Refused {
            what: "making rules of cards: the kernel takes 1,024 chains at each point of all bridges, and there are as many"
                .to_owned(),
            errno,
        },
        _ => error,
    }
}

/// Whether all rules of cards are there as they are wanted.
pub(crate) fn are_there(
    socket: &mut Socket,
    owner: &str,
    cards: &[&EndpointIntent],
) -> Result<bool, NetlinkError> {
    for card in cards.iter().filter(|card| has_rules(card)) {
        if !is_there(socket, &format!("{owner}_{}", card.link), card)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a card has rules of its own.
const fn has_rules(card: &EndpointIntent) -> bool {
    card.bandwidth.is_some() || card.has_access_rules()
}

/// Whether a table of this name behind the owner's is that of a link, and of no other service, whose name begins alike.
fn is_link(name: &str) -> bool {
    name.starts_with(LINK) && !name.contains('_')
}

fn is_there(socket: &mut Socket, name: &str, card: &EndpointIntent) -> Result<bool, NetlinkError> {
    let mut sets = 0;
    let mut wanted = Table::of(BRIDGE, name, &mut sets);
    fill(&mut wanted, card);
    contents::unless_gone(contents::is_as(socket, BRIDGE, name, wanted.digest()))
}

fn fill(table: &mut Table<'_>, card: &EndpointIntent) {
    if let Some(rate) = card.bandwidth {
        let hook = Hook::filter(0, -310);
        table.chain(RATES, &hook);
        table.rule(RATES, |rule| {
            rule.came_in_by(&card.link).is_faster(rate).drop()
        });
    }
    if !card.has_access_rules() {
        return;
    }
    write_sets(table, card, "");
    for family in &FAMILIES {
        for set in [family.flows, family.closing] {
            table.flows(set, family.frame == ETHERTYPE_IPV4, MOST_FLOWS);
        }
    }
    for outgoing in [false, true] {
        note(table, outgoing);
        decide(table, card, outgoing);
    }
}

/// The chain where what may pass is noted as a connection.
fn note(table: &mut Table<'_>, outgoing: bool) {
    let chain = NOTING[usize::from(outgoing)];
    table.inner_chain(chain);
    for family in &FAMILIES {
        for (protocol, timeout, _) in WITH_PORTS {
            table.rule(chain, |rule| {
                flow(rule, family, protocol, outgoing).note(family.flows, timeout)
            });
        }
        // A former connection of the same ports may be among those.
        table.rule(chain, |rule| {
            flow(rule, family, TCP, outgoing).forget(family.closing)
        });
        table.rule(chain, |rule| {
            rule.is_icmp(family.icmp, family.echo);
            echo(rule, family, outgoing).note(family.flows, ECHO)
        });
    }
    // A tier that led here would be left for the next one otherwise.
    table.rule(chain, |rule| rule.accept());
}

/// What a card may begin to send or to receive. What it may send is decided behind the rules that hold it to its own
/// addresses.
fn decide(table: &mut Table<'_>, card: &EndpointIntent, outgoing: bool) {
    let link = interface(&card.link);
    let (chain, hook) = match outgoing {
        true => (SENDING, Hook::filter(0, -290)),
        false => (RECEIVING, Hook::filter(4, -290)),
    };
    table.chain(chain, &hook);
    table.rule(chain, |rule| rule.is_elsewhere(&link, outgoing).accept());
    table.rule(chain, |rule| rule.frame_is(ETHERTYPE_ARP).accept());
    // A packet of IPv4 can have the number of ICMPv6 as well.
    for kind in NEIGHBOURS {
        table.rule(chain, |rule| {
            rule.frame_is(ETHERTYPE_IPV6).is_icmp6(Some(kind)).accept()
        });
    }
    for family in &FAMILIES {
        begun(table, chain, family, outgoing);
    }
    let noting = NOTING[usize::from(outgoing)];
    let way = Way {
        outgoing,
        place: Place::Port(noting),
    };
    way.decide(table, chain, card);
    table.rule(chain, |rule| rule.go_to(noting));
}

/// Packets of connections that were begun pass, and keep them.
fn begun(table: &mut Table<'_>, chain: &str, family: &Family, outgoing: bool) {
    begun_by_tcp(table, chain, family, outgoing);
    for (protocol, _, timeout) in WITH_PORTS {
        if protocol != TCP {
            table.rule(chain, |rule| {
                flow(rule, family, protocol, outgoing).keep(family.flows, timeout)
            });
        }
    }
    table.rule(chain, |rule| {
        rule.is_icmp(family.icmp, family.answer);
        echo(rule, family, outgoing).keep(family.flows, ECHO)
    });
    if outgoing {
        return;
    }
    // Of whom they come is not known: any router may send them.
    for error in family.errors {
        table.rule(chain, |rule| {
            rule.frame_is(family.frame)
                .is_icmp(family.icmp, *error)
                .accept()
        });
    }
}

/// The same of TCP. A packet that begins a connection is left to the rules each time. The answer to it, and what comes
/// while a connection is being closed, keep it for a short time only.
fn begun_by_tcp(table: &mut Table<'_>, chain: &str, family: &Family, outgoing: bool) {
    /// What begins a connection has only the first of these.
    const BOTH: u8 = SYN | ACK;
    let (_, _, timeout) = WITH_PORTS[0];
    table.rule(chain, |rule| {
        rule.is_tcp_with(family.frame, FIN | RST, 0, false)
            .flow(of_ports(family, outgoing))
            .is_noted(family.flows)
            .note(family.closing, UNCERTAIN)
    });
    table.rule(chain, |rule| {
        rule.is_tcp_with(family.frame, BOTH, BOTH, true)
            .flow(of_ports(family, outgoing))
            .keep(family.flows, UNCERTAIN)
    });
    table.rule(chain, |rule| {
        rule.is_tcp_with(family.frame, BOTH, SYN, false)
            .flow(of_ports(family, outgoing))
            .is_noted(family.closing)
            .keep(family.flows, UNCERTAIN)
    });
    table.rule(chain, |rule| {
        rule.is_tcp_with(family.frame, BOTH, SYN, false)
            .flow(of_ports(family, outgoing))
            .keep(family.flows, timeout)
    });
}

const fn of_ports(family: &Family, outgoing: bool) -> Flow {
    Flow {
        ipv4: family.frame == ETHERTYPE_IPV4,
        outgoing,
        echo: false,
    }
}

fn flow<'w, 'b>(
    rule: &'w mut Expressions<'b>,
    family: &Family,
    protocol: u8,
    outgoing: bool,
) -> &'w mut Expressions<'b> {
    rule.frame_is(family.frame)
        .is_protocol(protocol)
        .flow(of_ports(family, outgoing))
}

fn echo<'w, 'b>(
    rule: &'w mut Expressions<'b>,
    family: &Family,
    outgoing: bool,
) -> &'w mut Expressions<'b> {
    rule.frame_is(family.frame).flow(Flow {
        ipv4: family.frame == ETHERTYPE_IPV4,
        outgoing,
        echo: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tables_of_links_are_of_a_service() {
        let link = hcn::intent::port_name(hcn::Guid(7));
        assert!(is_link(&link));
        assert!(!is_link(&format!("x_{link}")) && !is_link("sessions"));
    }
}
