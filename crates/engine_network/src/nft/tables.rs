//! The tables as one transaction of nfnetlink.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
};

use hcn::{
    Mac, Prefix, Range,
    address::{address_of, number},
    intent::BRIDGES,
};
use rustix::io::Errno;

use super::{
    Rules, balancers,
    contents::{self, Contents, comment},
    expression::{Ended, Expressions},
    isolating, judging,
    keeping::Former,
    leaving, masquerading, overlays, pieces, reports, spreading,
};
use crate::netlink::{Batch, NetlinkError, Socket, flag};

pub(super) const SUBSYSTEM: u16 = 10 << 8;
const NEW_TABLE: u16 = SUBSYSTEM;
const DELETE_TABLE: u16 = SUBSYSTEM | 2;
const NEW_CHAIN: u16 = SUBSYSTEM | 3;
const NEW_RULE: u16 = SUBSYSTEM | 6;
const NEW_SET: u16 = SUBSYSTEM | 9;
pub(super) const NEW_ELEMENTS: u16 = SUBSYSTEM | 12;
pub(super) const DELETE_ELEMENTS: u16 = SUBSYSTEM | 14;
pub(super) const BEGIN: u16 = 16;
pub(super) const END: u16 = 17;

/// Families of tables.
pub(super) const INET: u8 = 1;
pub(super) const NETDEV: u8 = 5;
pub(super) const BRIDGE: u8 = 7;

/// Types of keys, for programs that show them.
pub(super) const ADDRESS: u32 = 7;
pub(super) const ADDRESS_6: u32 = 8;
pub(super) const CARD: u32 = 9;
const PROTOCOL: u32 = 12;
pub(super) const PORT: u32 = 13;
pub(super) const MARK: u32 = 19;
pub(super) const INTERFACE: u32 = 41;

/// Kinds of frames.
pub(super) const ETHERTYPE_IPV4: u16 = 0x0800;
pub(super) const ETHERTYPE_ARP: u16 = 0x0806;
pub(super) const ETHERTYPE_IPV6: u16 = 0x86dd;
/// The types of frames that have a tag (802.1Q, 802.1ad).
const TAGS: [u16; 2] = [0x8100, 0x88a8];

/// A set of ranges.
pub(super) const INTERVAL: u32 = 4;
/// A set whose elements come by rules.
pub(super) const FILLED_BY_RULES: u32 = 0x20;

/// Bytes of the elements of one message, of at most 64 KiB.
const MOST_ELEMENT_BYTES: usize = 32 << 10;

/// Puts the rules in the place of those that are there.
pub(crate) fn write(socket: &mut Socket, table: &str, rules: &Rules) -> Result<(), NetlinkError> {
    // Where another program changes the table meanwhile, nothing is kept.
    let former = contents::former(socket, INET, table).or_else(|error| match error.errno() {
        Some(Errno::NOENT) | None => Ok(None),
        Some(_) => Err(error),
    })?;
    let Some(former) = former else {
        return put(socket, table, rules, None);
    };
    match put(socket, table, rules, Some(&former)) {
        // The kernel has done nothing of it.
        Err(NetlinkError::Refused { .. }) => put(socket, table, rules, None),
        written => written,
    }
}

/// Writes the rules; what is noted in the table of connections stays where `former` tells what else is in it.
fn put(
    socket: &mut Socket,
    table: &str,
    rules: &Rules,
    former: Option<&Former>,
) -> Result<(), NetlinkError> {
    let mut batch = Batch::default();
    control(&mut batch, BEGIN);
    let mut sets = 0;
    for (family, fill) in TABLES {
        let mut table = Table::of(family, table, &mut sets);
        fill(&mut table, rules);
        match former {
            Some(former) if family == INET => table.replace_around(&mut batch, former),
            _ => table.replace(&mut batch),
        }
    }
    finish(&mut batch, INET, table);
    socket.run(batch)
}

/// Writes the chains, sets and rules of a table.
pub(super) type Fill = fn(&mut Table<'_>, &Rules);

/// The tables: their families, and what is in them.
pub(super) const TABLES: [(u8, Fill); 2] = [
    (INET, connections),
    (BRIDGE, |table, rules| {
        ports(table, rules, Way::In);
    }),
];

/// Where an endpoint's frames pass rules.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way<'a> {
    /// In the host, where they come in by a port of a bridge.
    In,
    /// In its namespace, where they leave by this link.
    Out(&'a str),
}

/// Removes the tables, if they are there.
pub(crate) fn remove(socket: &mut Socket, table: &str) -> Result<(), NetlinkError> {
    let mut batch = Batch::default();
    control(&mut batch, BEGIN);
    for family in [INET, BRIDGE] {
        make(&mut batch, family, table, 0);
        delete(&mut batch, family, table, flag::ACK);
    }
    control(&mut batch, END);
    socket.run(batch)
}

pub(super) fn control(batch: &mut Batch, kind: u16) {
    // The header names the subsystem, in the order of networks.
    batch.message(
        "beginning or ending a transaction",
        kind,
        0,
        &[0, 0, 0, 10],
        |_| {},
    );
}

pub(super) fn make(batch: &mut Batch, family: u8, table: &str, flags: u16) {
    let what = format!("making the table {table:?} of rules");
    batch.message(
        what,
        NEW_TABLE,
        flag::CREATE | flags,
        &[family, 0, 0, 0],
        |batch| {
            batch.text(1, table);
        },
    );
}

pub(super) fn delete(batch: &mut Batch, family: u8, table: &str, flags: u16) {
    let what = format!("removing the table {table:?} of rules");
    batch.message(what, DELETE_TABLE, flags, &[family, 0, 0, 0], |batch| {
        batch.text(1, table);
    });
}

/// Only the last message is acknowledged: errors of the others come without being asked for, and thousands of
/// acknowledgements would not fit into the socket's queue.
pub(super) fn finish(batch: &mut Batch, family: u8, table: &str) {
    make(batch, family, table, flag::ACK);
    control(batch, END);
}

/// A table that is being written.
pub(super) struct Table<'b> {
    /// What it is to hold, as messages.
    batch: Batch,
    /// The same, to be compared with what is there later.
    contents: Contents,
    family: u8,
    name: &'b str,
    /// Sets so far: each has a number within its transaction.
    sets: &'b mut u32,
}

/// A hook of the kernel, and when a chain comes to it.
pub(super) struct Hook {
    kind: &'static str,
    number: u32,
    priority: i32,
}

impl Hook {
    /// Of a chain that lets packets pass or not.
    pub(super) const fn filter(number: u32, priority: i32) -> Self {
        Self {
            kind: "filter",
            number,
            priority,
        }
    }

    /// Of a chain that translates connections.
    pub(super) const fn nat(number: u32, priority: i32) -> Self {
        Self {
            kind: "nat",
            number,
            priority,
        }
    }
}

impl<'b> Table<'b> {
    pub(super) fn of(family: u8, name: &'b str, sets: &'b mut u32) -> Self {
        Self {
            batch: Batch::default(),
            contents: Contents::new(family),
            family,
            name,
            sets,
        }
    }

    /// Adds all of it, in the place of what has its name.
    pub(super) fn replace(self, batch: &mut Batch) {
        make(batch, self.family, self.name, 0);
        delete(batch, self.family, self.name, 0);
        let digest = self.contents.digest();
        let what = format!("making the table {:?} of rules", self.name);
        batch.message(what, NEW_TABLE, flag::CREATE, &self.header(), |batch| {
            const COMMENT: u16 = 6;
            batch.text(1, self.name).bytes(COMMENT, &comment(digest));
        });
        batch.append(self.batch);
    }

    pub(super) fn header(&self) -> [u8; 4] {
        [self.family, 0, 0, 0]
    }

    pub(super) fn name(&self) -> &'b str {
        self.name
    }

    /// What it is to hold, as messages.
    pub(super) fn into_batch(self) -> Batch {
        self.batch
    }

    pub(super) fn chain(&mut self, chain: &str, hook: &Hook) {
        self.chain_at(chain, hook, None);
    }

    /// A chain at a hook that a single device has.
    pub(super) fn chain_at(&mut self, chain: &str, hook: &Hook, device: Option<&str>) {
        let (header, table) = (self.header(), self.name);
        self.contents.chain(chain);
        let what = format!("making the chain {chain}");
        self.batch
            .message(what, NEW_CHAIN, flag::CREATE, &header, |batch| {
                batch.text(1, table).text(3, chain).nest(4, |batch| {
                    batch
                        .big(1, hook.number)
                        .big(2, hook.priority.cast_unsigned());
                    if let Some(device) = device {
                        batch.text(3, device);
                    }
                });
                batch.text(7, hook.kind);
            });
    }

    pub(super) fn rule(&mut self, chain: &str, rule: impl FnOnce(&mut Expressions<'_>) -> Ended) {
        let (header, table, family) = (self.header(), self.name, self.family);
        let contents = &mut self.contents;
        let what = format!("making a rule of the chain {chain}");
        self.batch.message(
            what,
            NEW_RULE,
            flag::CREATE | flag::APPEND,
            &header,
            |batch| {
                const COMMENT: u16 = 7;
                batch.text(1, table).text(2, chain);
                let before = batch.length();
                batch.nest(4, |batch| {
                    let _ended = rule(&mut Expressions::at(batch, family));
                });
                let comment = contents.rule(chain, batch.since(before));
                batch.bytes(COMMENT, &comment);
            },
        );
    }

    /// A set of keys; `kinds` are the types of the parts of a key.
    pub(super) fn set(
        &mut self,
        set: &str,
        kinds: &[u32],
        length: u32,
        flags: u32,
        data: Option<(&[u32], u32)>,
    ) {
        const MAP: u32 = 8;
        let joined = |kinds: &[u32]| kinds.iter().fold(0, |all, kind| all << 6 | kind);
        let (header, table) = (self.header(), self.name);
        *self.sets += 1;
        let number = *self.sets;
        let flags = if data.is_some() { flags | MAP } else { flags };
        let what = format!("making the set {set}");
        self.batch
            .message(what, NEW_SET, flag::CREATE, &header, |batch| {
                batch.text(1, table).text(2, set).big(3, flags);
                batch.big(4, joined(kinds)).big(5, length);
                if let Some((kinds, length)) = data {
                    batch.big(6, joined(kinds)).big(7, length);
                }
                batch.big(10, number);
                if kinds == [INTERFACE] {
                    // For programs that show it: names are in the order of the host.
                    batch.bytes(13, &[0, 4, 1, 0, 0, 0]);
                }
            });
    }

    /// A chain that others lead to.
    pub(super) fn inner_chain(&mut self, chain: &str) {
        self.contents.chain(chain);
        let mut batch = std::mem::take(&mut self.batch);
        self.new_chain(&mut batch, chain);
        self.batch = batch;
    }

    pub(super) fn new_chain(&self, batch: &mut Batch, chain: &str) {
        let what = format!("making the chain {chain}");
        batch.message(what, NEW_CHAIN, flag::CREATE, &self.header(), |batch| {
            batch.text(1, self.name).text(3, chain);
        });
    }

    /// A set of so many connections, which rules fill: two addresses, a protocol, two ports.
    pub(super) fn flows(&mut self, set: &str, ipv4: bool, most: u32) {
        let (address, length) = if ipv4 { (ADDRESS, 20) } else { (ADDRESS_6, 44) };
        self.filled(set, &[address, address, PROTOCOL, PORT, PORT], length, most);
    }

    /// A set of at most so many keys, which rules fill for a while each.
    pub(super) fn filled(&mut self, set: &str, kinds: &[u32], length: u32, most: u32) {
        const TIMEOUT: u32 = 0x10;
        self.filled_as(TIMEOUT | FILLED_BY_RULES, set, kinds, length, most);
    }

    /// A set of at most so many keys, each of which rules keep for as long as there are connections of it.
    pub(super) fn counted(&mut self, set: &str, kinds: &[u32], length: u32, most: u32) {
        self.filled_as(FILLED_BY_RULES, set, kinds, length, most);
    }

    fn filled_as(&mut self, flags: u32, set: &str, kinds: &[u32], length: u32, most: u32) {
        const DESCRIPTION: u16 = 9;
        let kinds = kinds.iter().fold(0, |all, kind| all << 6 | kind);
        let (header, table) = (self.header(), self.name);
        *self.sets += 1;
        let number = *self.sets;
        let what = format!("making the set {set}");
        self.batch
            .message(what, NEW_SET, flag::CREATE, &header, |batch| {
                batch.text(1, table).text(2, set).big(3, flags);
                batch.big(4, kinds).big(5, length);
                batch.nest(DESCRIPTION, |batch| {
                    batch.big(1, most);
                });
                batch.big(10, number);
            });
    }

    /// What tells its chains and rules from others.
    pub(super) fn digest(&self) -> u64 {
        self.contents.digest()
    }

    /// Elements of a set, as many messages as they take.
    pub(super) fn elements(&mut self, set: &str, elements: &[Element]) {
        for element in elements {
            self.contents
                .element(set, &element.key, &element.data, element.is_end);
        }
        let place = (self.family, self.name, set);
        put_elements(&mut self.batch, NEW_ELEMENTS, place, elements);
    }
}

/// Adds elements to the set of a table, or removes them, by as many messages as they take.
pub(super) fn put_elements(
    batch: &mut Batch,
    kind: u16,
    (family, table, set): (u8, &str, &str),
    elements: &[Element],
) {
    let lengths = elements.iter().map(|one| one.key.len() + one.data.len());
    let each = lengths.max().unwrap_or(0) + 32;
    for some in elements.chunks(MOST_ELEMENT_BYTES / each) {
        let (what, flags) = match kind {
            DELETE_ELEMENTS => (format!("emptying the set {set}"), 0),
            _ => (format!("filling the set {set}"), flag::CREATE),
        };
        batch.message(what, kind, flags, &[family, 0, 0, 0], |batch| {
            batch.text(1, table).text(2, set).nest(3, |batch| {
                some.iter().for_each(|element| element.write(batch));
            });
        });
    }
}

/// An element of a set.
#[derive(Default)]
pub(super) struct Element {
    key: Vec<u8>,
    data: Vec<u8>,
    /// The first key that an interval does not hold.
    is_end: bool,
}

impl Element {
    pub(super) fn key(parts: &[&[u8]]) -> Self {
        Self {
            key: padded(parts),
            ..Self::default()
        }
    }

    /// Of a key that is not filled up, as a set with keys of one part has them.
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self {
            key: bytes.to_vec(),
            ..Self::default()
        }
    }

    /// With what the map has for it.
    pub(super) fn with(self, data: &[u8]) -> Self {
        Self {
            data: data.to_vec(),
            ..self
        }
    }

    fn write(&self, batch: &mut Batch) {
        const INTERVAL_END: u32 = 1;
        batch.nest(1, |batch| {
            if self.is_end {
                batch.big(3, INTERVAL_END);
            }
            batch.nest(1, |batch| {
                batch.bytes(1, &self.key);
            });
            if !self.data.is_empty() {
                batch.nest(2, |batch| {
                    batch.bytes(1, &self.data);
                });
            }
        });
    }
}

/// The elements of a set of ranges: where each begins, and what is behind it unless that is the end of all addresses.
pub(super) fn ends(ranges: impl Iterator<Item = Range>) -> Vec<Element> {
    let element = |address: IpAddr, is_end: bool| Element {
        is_end,
        ..Element::key(&[&octets(address)])
    };
    let ends = ranges.flat_map(|(first, last)| {
        let behind = number(last)
            .checked_add(1)
            .map(|behind| address_of(behind, last));
        let behind = behind.filter(|behind| *behind > last);
        let begins = element(first, false);
        [Some(begins), behind.map(|behind| element(behind, true))]
    });
    ends.flatten().collect()
}

fn all_of(subnet: &Prefix) -> Range {
    (subnet.first(), subnet.last())
}

/// The parts of a key, each filled up to 4 bytes, as registers are.
fn padded(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend(*part);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

/// The name of an interface as the kernel compares it.
pub(super) fn interface(name: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    let length = name.len().min(15);
    bytes[..length].copy_from_slice(&name.as_bytes()[..length]);
    bytes
}

/// The table where connections are translated and forwarded.
fn connections(table: &mut Table<'_>, rules: &Rules) {
    connection_sets(table, rules);
    table.chain("martians", &Hook::filter(0, -300));
    // What a bridge takes comes in by the bridge. Frames to the addresses that 802.1D reserves for bridges are taken by
    // the port itself, before any rule of bridges sees them: nothing but forgery comes so.
    table.rule("martians", |rule| rule.came_in("held", true).drop());
    // 127.0.0.0/8 is routed on our bridges, so that the host reaches published ports there; for others it is not.
    table.rule("martians", |rule| {
        rule.is_ipv4()
            .came_in("ours", true)
            .destination_is_loopback()
            .drop()
    });
    for (chain, number) in [("published", 0), ("published_here", 3)] {
        table.chain(chain, &Hook::nat(number, -100));
        destinations(table, chain, rules);
    }
    masquerading::chains(table, rules);
    table.chain("leaving", &Hook::nat(4, 100));
    for at_address in [true, false] {
        balancers::sources(table, "leaving", &rules.balancers, at_address);
    }
    table.rule("leaving", |rule| rule.go_to(masquerading::CHAIN));
    table.chain("reaching_the_host", &Hook::filter(1, 0));
    table.rule("reaching_the_host", |rule| {
        rule.came_in("hostless", true).drop()
    });
    overlays::keep_strangers_away(table, "reaching_the_host", rules);
    if !rules.tunnels.is_empty() {
        table.chain("telling", &Hook::filter(3, 0));
        overlays::tell_no_routers(table, "telling");
    }
    judging::chain(table, rules);
    forwarding(table, rules, &Hook::filter(2, 0));
}

/// Leads connections to where they are published or balanced: what is said of one address comes before what is said of
/// all.
fn destinations(table: &mut Table<'_>, chain: &str, rules: &Rules) {
    for (ports, at_address) in [("ports_at", true), ("ports", false)] {
        table.rule(chain, |rule| {
            rule.is_ipv4()
                .destination_is_local()
                .translate_by(ports, at_address)
        });
        balancers::destinations(table, chain, &rules.balancers, at_address);
    }
}

fn connection_sets(table: &mut Table<'_>, rules: &Rules) {
    let ours: BTreeSet<String> = rules.open.union(&rules.closed).cloned().collect();
    let held = rules.ports.keys().chain(&rules.tunnels);
    let held: BTreeSet<String> = held.cloned().collect();
    overlays::sets(table, rules);
    for (set, names) in [
        ("held", &held),
        ("open", &rules.open),
        ("closed", &rules.closed),
        ("ours", &ours),
        ("hostless", &rules.hostless),
        ("guarded", &rules.guarded),
    ] {
        table.set(set, &[INTERFACE], 16, 0, None);
        table.elements(set, &interfaces(names.iter()));
    }
    table.set("within", &[INTERFACE, INTERFACE], 32, 0, None);
    let within = ours
        .iter()
        .map(|name| Element::key(&[&interface(name), &interface(name)]));
    table.elements("within", &within.collect::<Vec<_>>());
    table.set("subnets", &[ADDRESS], 4, INTERVAL, None);
    table.elements("subnets", &ends(rules.subnets.iter().map(all_of)));
    if rules.leads_6() {
        table.set("subnets_6", &[ADDRESS_6], 16, INTERVAL, None);
        table.elements("subnets_6", &ends(rules.subnets_6.iter().map(all_of)));
    }
    let target: (&[u32], u32) = (&[ADDRESS, PORT], 8);
    table.set("ports", &[PROTOCOL, PORT], 8, 0, Some(target));
    table.elements("ports", &published(&rules.published));
    table.set("ports_at", &[ADDRESS, PROTOCOL, PORT], 12, 0, Some(target));
    table.elements("ports_at", &published_at(&rules.published_at));
    balancers::targets(table, &rules.balancers);
}

/// Elements for interfaces.
pub(super) fn interfaces<'n>(names: impl Iterator<Item = &'n String>) -> Vec<Element> {
    let elements = names.map(|name| Element::key(&[&interface(name)]));
    elements.collect()
}

/// Elements for published ports of all addresses of the host.
pub(super) fn published(ports: &BTreeMap<(u8, u16), (Ipv4Addr, u16)>) -> Vec<Element> {
    let elements = ports.iter().map(|((protocol, port), (to, internal))| {
        let key = Element::key(&[&[*protocol], &port.to_be_bytes()]);
        key.with(&padded(&[&to.octets(), &internal.to_be_bytes()]))
    });
    elements.collect()
}

/// Elements for published ports of single addresses.
pub(super) fn published_at(ports: &BTreeMap<(Ipv4Addr, u8, u16), (Ipv4Addr, u16)>) -> Vec<Element> {
    let elements = ports.iter().map(|((at, protocol, port), (to, internal))| {
        let key = Element::key(&[&at.octets(), &[*protocol], &port.to_be_bytes()]);
        key.with(&padded(&[&to.octets(), &internal.to_be_bytes()]))
    });
    elements.collect()
}

/// Elements for ports of bridges: their names, those of ports that speak IPv6, their hardware addresses, their
/// addresses of IPv4 and IPv6.
pub(super) fn of_ports(ports: &BTreeMap<String, (Mac, BTreeSet<IpAddr>)>) -> [Vec<Element>; 5] {
    let (mut held, mut six, mut cards) = (Vec::new(), Vec::new(), Vec::new());
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for (port, (mac, addresses)) in ports {
        let port = interface(port);
        if addresses.iter().any(IpAddr::is_ipv6) {
            six.push(Element::key(&[&port]));
        }
        held.push(Element::key(&[&port]));
        cards.push(Element::key(&[&port, &mac.0]));
        for address in addresses {
            let list = if address.is_ipv4() { &mut v4 } else { &mut v6 };
            list.push(Element::key(&[&port, &octets(*address)]));
        }
    }
    [held, six, cards, v4, v6]
}

/// What passes between networks. Within a network frames go from port to port; they come here, too, where the kernel
/// shows rules what a bridge forwards (`bridge-nf-call-iptables`), or where an endpoint sends them to its router.
fn forwarding(table: &mut Table<'_>, rules: &Rules, hook: &Hook) {
    let chain = "forwarding";
    spreading::sets_and_chain(table);
    isolating::sets_and_chain(table, rules);
    table.chain(chain, hook);
    table.rule(chain, |rule| {
        rule.came_in("ours", true).jump(spreading::CHAIN)
    });
    table.rule(chain, |rule| {
        rule.stays_in("within").go_to(isolating::CHAIN)
    });
    // Nor by a published port of another network, whatever the host forwards.
    table.rule(chain, |rule| rule.came_in("closed", true).drop());
    table.rule(chain, |rule| rule.leaves("closed", true).drop());
    table.rule(chain, |rule| {
        rule.leaves("open", true).is_established().accept()
    });
    table.rule(chain, |rule| {
        rule.leaves("open", true).was_translated().accept()
    });
    table.rule(chain, |rule| {
        rule.is_ipv4()
            .came_in("open", true)
            .leaves("ours", false)
            .accept()
    });
    if rules.leads_6() {
        balancers::answers_6(table, chain);
    }
    table.rule(chain, |rule| rule.came_in("ours", true).drop());
    table.rule(chain, |rule| rule.leaves("ours", true).drop());
    // What is for the networks of another service is for the rules of that one to decide.
    table.rule(chain, |rule| {
        rule.came_in("guarded", true)
            .leaves_elsewhere_than(BRIDGES)
            .drop()
    });
}

/// The table where each port is held to its own addresses, whatever the container behind it sends.
pub(super) fn ports(table: &mut Table<'_>, rules: &Rules, way: Way<'_>) {
    table.set("held", &[INTERFACE], 16, 0, None);
    table.set("speak_6", &[INTERFACE], 16, 0, None);
    table.set("cards", &[INTERFACE, CARD], 24, 0, None);
    table.set("addresses", &[INTERFACE, ADDRESS], 20, 0, None);
    table.set("addresses_6", &[INTERFACE, ADDRESS_6], 32, 0, None);
    let [held, six, cards, v4, v6] = of_ports(&rules.ports);
    for (set, elements) in [
        ("held", held),
        ("speak_6", six),
        ("cards", cards),
        ("addresses", v4),
        ("addresses_6", v6),
    ] {
        table.elements(set, &elements);
    }
    overlays::own_cards(table, rules);
    pieces::set(table);
    let chain = "holding";
    let (number, device) = match way {
        Way::In => (0, None),
        Way::Out(device) => (1, Some(device)),
    };
    let hook = Hook::filter(number, -300);
    table.chain_at(chain, &hook, device);
    match way {
        Way::In => {
            overlays::keep_own_cards(table, chain, rules);
            table.rule(chain, |rule| rule.came_in("held", false).accept());
            pieces::limit(table, chain);
        }
        Way::Out(_) => leaving::kinds_agree(table, chain),
    }
    table.rule(chain, |rule| rule.frame_is_from("cards", false).drop());
    // What is tagged is of a network that ours have nothing to do with, whatever it carries.
    for tag in TAGS {
        table.rule(chain, |rule| rule.header_is(tag).drop());
    }
    // Without an address it has nothing to say, be it to find one.
    table.rule(chain, |rule| {
        rule.frame_is(ETHERTYPE_IPV6)
            .passes_by("speak_6", false)
            .drop()
    });
    leases(table, chain);
    reports::hold_reports(table, chain);
    table.rule(chain, |rule| {
        rule.frame_is(ETHERTYPE_IPV4)
            .packet_is_from("addresses", true)
            .accept()
    });
    table.rule(chain, |rule| {
        rule.frame_is(ETHERTYPE_ARP)
            .told_card_is("cards", false)
            .drop()
    });
    table.rule(chain, |rule| {
        rule.frame_is(ETHERTYPE_ARP)
            .told_address_is("addresses", true)
            .accept()
    });
    neighbours(table, chain);
    table.rule(chain, |rule| {
        rule.frame_is(ETHERTYPE_IPV6)
            .packet6_is_from("addresses_6", true)
            .accept()
    });
    // A card that looks whether an address is free, and one that tells which groups it listens to, has none yet.
    table.rule(chain, |rule| {
        rule.frame_is(ETHERTYPE_IPV6)
            .source_is_unknown()
            .is_icmp6(None)
            .accept()
    });
    table.rule(chain, |rule| rule.passes_by("held", true).drop());
}

/// Addresses are given by the service: no container answers others that ask a server for one.
fn leases(table: &mut Table<'_>, chain: &str) {
    const UDP: u8 = 17;
    for (ethertype, server) in [(ETHERTYPE_IPV4, 67), (ETHERTYPE_IPV6, 547)] {
        table.rule(chain, |rule| {
            rule.frame_is(ethertype)
                .is_protocol(UDP)
                .port_in((server, server), false)
                .drop()
        });
    }
}

/// No container is a router, nor tells where the addresses of others are or that they are taken.
fn neighbours(table: &mut Table<'_>, chain: &str) {
    const SOLICITATION: u8 = 135;
    const ADVERTISEMENT: u8 = 136;
    const OF_ROUTERS: [u8; 2] = [134, 137];
    for kind in OF_ROUTERS {
        table.rule(chain, |rule| {
            rule.frame_is(ETHERTYPE_IPV6).is_icmp6(Some(kind)).drop()
        });
    }
    table.rule(chain, |rule| {
        rule.frame_is(ETHERTYPE_IPV6)
            .is_icmp6(Some(ADVERTISEMENT))
            .target_is("addresses_6", false)
            .drop()
    });
    // Without a source it asks whether it may take the address itself.
    table.rule(chain, |rule| {
        rule.frame_is(ETHERTYPE_IPV6)
            .source_is_unknown()
            .is_icmp6(Some(SOLICITATION))
            .target_is("addresses_6", false)
            .drop()
    });
}

pub(super) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}
