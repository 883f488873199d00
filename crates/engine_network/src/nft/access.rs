//! What an endpoint may send and receive: a table in its own namespace, which goes with that.
//!
//! There the kernel knows connections, so a rule is about who begins one; answers pass. The container cannot change the
//! table, or go past it by packets of its own making, unless its document gives it CAP_NET_ADMIN or CAP_NET_RAW.

use std::collections::BTreeMap;

use hcn::{AccessRule, Action, Addresses, Prefix, Range, intent::EndpointIntent};

use super::{
    contents,
    expression::Expressions,
    proxies,
    tables::{
        ADDRESS, ADDRESS_6, BEGIN, END, ETHERTYPE_IPV4, ETHERTYPE_IPV6, Hook, INET, INTERVAL,
        NETDEV, Table, control, delete, ends, finish, interface, make, octets,
    },
};
use crate::netlink::{Batch, NetlinkError, Socket, flag};

/// Messages of IPv6 without which no address is found: for neighbours, and for the groups that their questions go to.
/// ARP, which is the same for IPv4, does not come here.
const NEIGHBOURS: [u8; 6] = [130, 131, 132, 135, 136, 143];

/// Writes the rules of an endpoint in the place of those that are there; `socket` is of its namespace.
pub(crate) fn set(
    socket: &mut Socket,
    owner: &str,
    endpoint: &EndpointIntent,
) -> Result<(), NetlinkError> {
    let name = format!("{owner}_{}", endpoint.inner);
    let mut batch = Batch::default();
    if !endpoint.has_rules() {
        // A former endpoint at this place may have had some.
        if !contents::has_table(socket, INET, &name)? {
            return Ok(());
        }
        control(&mut batch, BEGIN);
        make(&mut batch, INET, &name, 0);
        delete(&mut batch, INET, &name, flag::ACK);
        control(&mut batch, END);
        return socket.run(batch);
    }
    control(&mut batch, BEGIN);
    let mut numbers = 0;
    let mut table = Table::of(INET, &name, &mut numbers);
    write_sets(&mut table, endpoint, "");
    proxies::lead(&mut table, endpoint);
    for outgoing in [false, true] {
        fill(&mut table, endpoint, outgoing);
    }
    table.replace(&mut batch);
    finish(&mut batch, INET, &name);
    socket.run(batch)
}

/// Removes the rules of endpoints that are in a namespace no more; `wanted` are the names of the links that stay.
pub(crate) fn keep(socket: &mut Socket, owner: &str, wanted: &[&str]) -> Result<(), NetlinkError> {
    let beginning = format!("{owner}_");
    let mut batch = Batch::default();
    for family in [INET, NETDEV] {
        for name in contents::tables(socket, family, &beginning)? {
            let link = name.strip_prefix(&beginning);
            if link.is_some_and(|link| wanted.contains(&link)) {
                continue;
            }
            if batch.is_empty() {
                control(&mut batch, BEGIN);
            }
            delete(&mut batch, family, &name, flag::ACK);
        }
    }
    if !batch.is_empty() {
        control(&mut batch, END);
    }
    socket.run(batch)
}

fn fill(table: &mut Table<'_>, endpoint: &EndpointIntent, outgoing: bool) {
    let (chain, number) = if outgoing {
        ("sending", 3)
    } else {
        ("receiving", 1)
    };
    table.chain(chain, &Hook::filter(number, 0));
    table.rule(chain, |rule| rule.is_established().accept());
    // A packet of IPv4 can have the number of ICMPv6 as well.
    for kind in NEIGHBOURS {
        table.rule(chain, |rule| {
            rule.is_of(false).is_icmp6(Some(kind)).accept()
        });
    }
    let link = interface(&endpoint.inner);
    let way = Way {
        outgoing,
        place: Place::Namespace(&link),
    };
    way.decide(table, chain, endpoint);
}

/// Where rules of an endpoint stand.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place<'a> {
    /// In its namespace, where they are about the link of this name.
    Namespace(&'a [u8; 16]),
    /// At its port of a bridge, behind a rule for all others. This chain notes what may pass.
    Port(&'a str),
    /// On the host, in a chain for what is forwarded to it. The names of its sets begin so.
    Host(&'a str),
}

/// Rules of an endpoint in one direction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way<'a> {
    pub(super) outgoing: bool,
    pub(super) place: Place<'a>,
}

impl Way<'_> {
    /// Writes the rules: a chain for each tier, which is left where the next one is to decide, and behind them those
    /// that are of no tier.
    pub(super) fn decide(&self, table: &mut Table<'_>, chain: &str, endpoint: &EndpointIntent) {
        for (at, tier) in endpoint.tiers.iter().enumerate() {
            if tier.is_outgoing != self.outgoing {
                continue;
            }
            let inner = format!("{chain}_tier_{at}");
            table.inner_chain(&inner);
            for rule in &tier.rules {
                self.rule(table, &inner, rule, endpoint);
            }
            table.rule(chain, |words| {
                self.begin(words);
                words.jump(&inner)
            });
        }
        for rule in &endpoint.access {
            if rule.is_outgoing == self.outgoing {
                self.rule(table, chain, rule, endpoint);
            }
        }
    }

    fn rule(
        &self,
        table: &mut Table<'_>,
        chain: &str,
        rule: &AccessRule,
        endpoint: &EndpointIntent,
    ) {
        for one in combinations(rule, &endpoint.sets) {
            table.rule(chain, |words| {
                self.begin(words);
                one.say(words, *self);
                match (rule.action, self.place) {
                    (Action::Allow, Place::Namespace(_) | Place::Host(_)) => words.accept(),
                    (Action::Allow, Place::Port(noting)) => words.go_to(noting),
                    (Action::Block, _) => words.drop(),
                    (Action::Pass, _) => words.go_back(),
                }
            });
        }
    }

    /// Only packets at the endpoint's link are concerned.
    fn begin(&self, words: &mut Expressions<'_>) {
        if let Place::Namespace(link) = self.place {
            words.is_at(link, self.outgoing);
        }
    }

    fn members(&self, at: usize, ipv4: bool) -> String {
        let beginning = match self.place {
            Place::Host(beginning) => beginning,
            Place::Namespace(_) | Place::Port(_) => "",
        };
        members(beginning, at, ipv4)
    }

    fn is_of(&self, words: &mut Expressions<'_>, ipv4: bool) {
        match self.place {
            Place::Namespace(_) | Place::Host(_) => words.is_of(ipv4),
            Place::Port(_) => words.frame_is(if ipv4 { ETHERTYPE_IPV4 } else { ETHERTYPE_IPV6 }),
        };
    }
}

/// What the names of sets of a network begin with in tables of endpoints.
const MEMBERS: &str = "members_";

/// The name of the set for one family of the set at this place, in a table where the names of such begin so.
fn members(beginning: &str, at: usize, ipv4: bool) -> String {
    let family = if ipv4 { "" } else { "_6" };
    format!("{beginning}{MEMBERS}{at}{family}")
}

/// Writes the sets that rules of an endpoint name, with names that begin so.
pub(super) fn write_sets(table: &mut Table<'_>, endpoint: &EndpointIntent, beginning: &str) {
    for (at, ranges) in endpoint.sets.values().enumerate() {
        for (ipv4, kind, length) in [(true, ADDRESS, 4), (false, ADDRESS_6, 16)] {
            let name = members(beginning, at, ipv4);
            table.set(&name, &[kind], length, INTERVAL, None);
            let ranges = ranges.iter().copied();
            let own = ranges.filter(|(first, _)| first.is_ipv4() == ipv4);
            table.elements(&name, &ends(own));
        }
    }
}

/// Some addresses of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peers {
    Prefix(Prefix),
    /// Those of this family of the set at this place.
    Set(usize, bool),
}

impl Peers {
    const fn is_ipv4(self) -> bool {
        match self {
            Self::Prefix(prefix) => prefix.is_ipv4(),
            Self::Set(_, ipv4) => ipv4,
        }
    }
}

/// One of all that a rule stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Combination {
    protocol: Option<u8>,
    local: Option<Peers>,
    remote: Option<Peers>,
    local_ports: Option<(u16, u16)>,
    remote_ports: Option<(u16, u16)>,
}

/// All of them; addresses of two families never meet in one packet.
pub(super) fn combinations(
    rule: &AccessRule,
    sets: &BTreeMap<String, Vec<Range>>,
) -> Vec<Combination> {
    let mut all = Vec::new();
    for protocol in each(&rule.protocols) {
        for local in each_address(&rule.local, sets) {
            for remote in each_address(&rule.remote, sets) {
                let families = local.zip(remote);
                if families.is_some_and(|(local, remote)| local.is_ipv4() != remote.is_ipv4()) {
                    continue;
                }
                for local_ports in each(&rule.local_ports) {
                    all.extend(each(&rule.remote_ports).map(|remote_ports| Combination {
                        protocol,
                        local,
                        remote,
                        local_ports,
                        remote_ports,
                    }));
                }
            }
        }
    }
    all
}

/// Each item, or once none where an empty list stands for everything.
fn each<T: Copy>(list: &[T]) -> impl Iterator<Item = Option<T>> {
    let everything = list.is_empty().then_some(None);
    list.iter().copied().map(Some).chain(everything)
}

/// The same of addresses. Of a set each family has an item that has members: an empty set holds nothing.
fn each_address(addresses: &Addresses, sets: &BTreeMap<String, Vec<Range>>) -> Vec<Option<Peers>> {
    let id = match addresses {
        Addresses::Listed(list) => {
            return each(list).map(|item| item.map(Peers::Prefix)).collect();
        }
        Addresses::Set(id) => id,
    };
    let found = sets.iter().enumerate().find(|(_, (other, _))| *other == id);
    let Some((at, (_, ranges))) = found else {
        return Vec::new();
    };
    let has = |ipv4: &bool| ranges.iter().any(|(first, _)| first.is_ipv4() == *ipv4);
    let families = [true, false].into_iter().filter(has);
    families.map(|ipv4| Some(Peers::Set(at, ipv4))).collect()
}

impl Combination {
    fn say(self, words: &mut Expressions<'_>, way: Way<'_>) {
        let outgoing = way.outgoing;
        // The endpoint is the destination of what it receives.
        for (addresses, target) in [(self.local, !outgoing), (self.remote, outgoing)] {
            let Some(addresses) = addresses else { continue };
            way.is_of(words, addresses.is_ipv4());
            match addresses {
                Peers::Prefix(prefix) if prefix.is_all() => {}
                Peers::Prefix(prefix) => {
                    words.address_in(&octets(prefix.first()), &mask(prefix), target);
                }
                Peers::Set(at, ipv4) => {
                    words.address_is_of(&way.members(at, ipv4), ipv4, target);
                }
            }
        }
        if let Some(protocol) = self.protocol {
            words.is_protocol(protocol);
        }
        for (ports, target) in [(self.local_ports, !outgoing), (self.remote_ports, outgoing)] {
            if let Some(ports) = ports {
                words.port_in(ports, target);
            }
        }
    }
}

pub(super) fn mask(prefix: Prefix) -> Vec<u8> {
    let bytes = if prefix.is_ipv4() { 4 } else { 16 };
    let bits = |at: u8| match prefix.length().saturating_sub(at * 8) {
        0 => 0,
        left if left < 8 => 0xff << (8 - left),
        _ => 0xff,
    };
    (0..bytes).map(bits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_have_as_many_bits_as_their_prefix() {
        let of = |text: &str| mask(text.parse().unwrap_or_else(|_| unreachable!("{text}")));
        assert_eq!(of("10.0.0.0/8"), [255, 0, 0, 0]);
        assert_eq!(of("10.0.0.0/13"), [255, 248, 0, 0]);
        assert_eq!(of("10.0.0.1/32"), [255; 4]);
        assert_eq!(of("fd00::/20")[..4], [255, 255, 0xf0, 0]);
        assert_eq!(of("fd00::1/128"), [255; 16]);
    }

    #[test]
    fn lists_are_combined_within_a_family() {
        let prefix = |text: &str| text.parse().unwrap_or_else(|_| unreachable!("{text}"));
        let listed =
            |texts: &[&str]| Addresses::Listed(texts.iter().copied().map(prefix).collect());
        let rule = AccessRule {
            priority: 0,
            is_outgoing: true,
            action: Action::Allow,
            protocols: vec![6, 17],
            local: listed(&["10.0.0.0/8", "fd00::/8"]),
            remote: listed(&["10.1.0.0/16", "fd00:1::/32"]),
            local_ports: Vec::new(),
            remote_ports: vec![(80, 80), (443, 443)],
        };
        let mut sets = BTreeMap::new();
        assert_eq!(combinations(&rule, &sets).len(), 2 * 2 * 2);
        let all = AccessRule {
            protocols: Vec::new(),
            local: listed(&[]),
            remote: listed(&[]),
            remote_ports: Vec::new(),
            ..rule
        };
        assert_eq!(combinations(&all, &sets).len(), 1);
        // A set holds what is in it, and nothing where it is empty.
        let of_set = AccessRule {
            remote: Addresses::Set("web".to_owned()),
            ..all
        };
        sets.insert("db".to_owned(), Vec::new());
        sets.insert("web".to_owned(), Vec::new());
        assert!(combinations(&of_set, &sets).is_empty());
        let one = prefix("10.0.0.1/32");
        sets.insert("web".to_owned(), vec![(one.first(), one.last())]);
        let found = combinations(&of_set, &sets);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].remote, Some(Peers::Set(1, true)));
    }
}
